//! The story itself, step by step. Every step says what it shows and fails if it does not see it.

use super::shop::{Answer, Shop, failed, until};
use crate::app::jobs::{self, By};
use crate::cli::boot::Node;
use crate::cli::fsck;
use crate::cli::orders::timeline;
use crate::cli::output::Output;
use crate::cli::{Failure, Outcome};
use crate::mail::{Behaviour, Catcher, CaughtMail, Scripted};
use crate::simulator::stripe::Mode;
use ordermill_core::contact::Email;
use ordermill_core::event::Actor;
use ordermill_core::job::DeadLetter;
use ordermill_store::{DeadLetterQuery, InboxQuery};
use serde_json::json;

/// How late Stripe's webhook is.
const LATE_MS: u64 = 400;
/// The buyer whose mail server refuses three times.
const UNLUCKY: &str = "binh@example.com";

pub(super) async fn tell(node: &Node, shop: &Shop, output: &Output) -> Outcome {
    let told = Teller { node, shop, output, catcher: node.shared.catcher.as_ref().ok_or_else(|| failed("no mail catcher"))? };
    told.step("Two customers register and want the last bag at the same moment.");
    let (winner, order) = told.race_for_the_last_unit().await?;
    told.step("A third one orders a shirt; the mail server will refuse the confirmation three times.");
    let unlucky = told.order_with_refused_mail().await?;
    told.step("The winner pays at Stripe. The signed webhook comes late, and then once more.");
    let paid = told.pay_late_and_twice(&winner, &order).await?;
    told.step("One mail arrives.");
    let mail = told.one_mail(&paid).await?;
    told.step("The refused mail became a dead letter after three attempts. It is redriven.");
    told.redrive_the_dead_letter(&unlucky).await?;
    told.step("The winner's order, as its timeline tells it:");
    let path = format!("/api/orders/{}/events", paid.text("/code"));
    timeline(output, &shop.get(&path, &winner).await?.expect(200, "reading the timeline")?.body);
    told.step("The mail:");
    output.line(&format!("To: {}\nSubject: {}\nMessage-ID: {}\n\n{}", mail.to, mail.subject, mail.message_id, mail.text));
    told.step("Every invariant is checked.");
    let report = ordermill_store::fsck::run(node.app.store.as_ref(), &mut |_| {}).await;
    let report = report.map_err(|error| Failure::unavailable(error.to_string()))?;
    fsck::print(output, &json!(report))
}

struct Teller<'a> {
    node: &'a Node,
    shop: &'a Shop,
    output: &'a Output,
    catcher: &'a Catcher,
}

impl Teller<'_> {
    fn step(&self, text: &str) {
        self.output.line(&format!("\n▸ {text}"));
    }

    fn saw(&self, text: &str) {
        self.output.line(&format!("  {text}"));
    }

    /// Two orders for one bag at once: one stands, the other hears a clear no. Returns the winner's token and order.
    async fn race_for_the_last_unit(&self) -> Result<(String, Answer), Failure> {
        let (an, chi) =
            tokio::try_join!(self.shop.register("an@example.com", "Nguyễn Văn An"), self.shop.register("chi@example.com", "Lê Thị Chi"))?;
        let bag = self.shop.product("BAG-01").await?;
        let (of_an, of_chi) = tokio::try_join!(self.shop.order(&an, &bag), self.shop.order(&chi, &bag))?;
        let (winner, won, lost) = if of_an.status == 201 { (an, of_an, of_chi) } else { (chi, of_chi, of_an) };
        let won = won.expect(201, "the first order")?;
        let lost = lost.expect(409, "the second order")?;
        self.saw(&format!(
            "201  {} stands, {} {}, {}",
            won.text("/code"),
            won.body["totalAmount"],
            won.text("/currency"),
            won.text("/payment/status")
        ));
        self.saw(&format!("409  {}: {}; lines {}", lost.text("/code"), lost.text("/detail"), lost.body["lines"]));
        if lost.text("/code") != "out_of_stock" {
            return Err(failed("the loser was not told that the stock is out"));
        }
        Ok((winner, won))
    }

    async fn order_with_refused_mail(&self) -> Result<Answer, Failure> {
        if let Some(person) = Email::parse(UNLUCKY) {
            self.catcher.script(Scripted::To(person), Behaviour::Refuse(550));
        }
        let token = self.shop.register(UNLUCKY, "Trần Thị Bình").await?;
        let shirt = self.shop.product("TEE-01").await?;
        let order = self.shop.order(&token, &shirt).await?.expect(201, "the shirt's order")?;
        self.shop.pay(&order).await?;
        self.saw(&format!("201  {} ordered and paid", order.text("/code")));
        Ok(order)
    }

    async fn pay_late_and_twice(&self, token: &str, order: &Answer) -> Result<Answer, Failure> {
        if let Some(simulator) = &self.node.simulator {
            simulator.set_mode(Mode::Late { ms: LATE_MS });
        }
        self.shop.pay(order).await?;
        let path = format!("/api/orders/{}", order.text("/code"));
        let before = self.shop.get(&path, token).await?;
        self.saw(&format!("paid at Stripe; here the order is still {}/{}", before.text("/status"), before.text("/paymentStatus")));
        let paid = until("the payment", || async {
            let now = self.shop.get(&path, token).await?;
            Ok((now.text("/paymentStatus") == "paid").then_some(now))
        })
        .await?;
        self.saw(&format!(
            "{LATE_MS} ms later: {}/{}, version {}",
            paid.text("/status"),
            paid.text("/paymentStatus"),
            paid.body["version"]
        ));
        self.repeat_the_webhook(&paid).await?;
        let again = self.shop.get(&path, token).await?.expect(200, "reading the order")?;
        if again.body != paid.body {
            return Err(failed("the repeated webhook changed the order"));
        }
        self.saw(&format!("the same webhook again: 200, and the order is still at version {}", again.body["version"]));
        Ok(again)
    }

    /// Delivers the event that paid this order once more, as a provider that missed our 200 would.
    async fn repeat_the_webhook(&self, order: &Answer) -> Result<(), Failure> {
        let query = InboxQuery { limit: 100, ..InboxQuery::default() };
        let received = self.node.app.store.inbox(&query).await.map_err(|error| failed(error.to_string()))?;
        let id = order.text("/id");
        let event = received.rows.into_iter().find(|entry| entry.order_id.is_some_and(|order| order.to_string() == id));
        let event = event.ok_or_else(|| failed("the webhook is not in the inbox"))?;
        self.shop.deliver_again(&event.body, self.node.app.now().unix_s()).await?.expect(200, "the repeated webhook")?;
        Ok(())
    }

    async fn one_mail(&self, order: &Answer) -> Result<CaughtMail, Failure> {
        let to = order.text("/customer/email");
        let mine = || self.catcher.list().into_iter().filter(|mail| mail.to == to).collect::<Vec<_>>();
        let mail = until("the mail", || async { Ok(mine().into_iter().next()) }).await?;
        match mine().len() {
            1 => self.saw(&format!("to {to}: {}", mail.subject)),
            count => return Err(failed(format!("{count} mails arrived"))),
        }
        Ok(mail)
    }

    async fn redrive_the_dead_letter(&self, order: &Answer) -> Result<(), Failure> {
        let app = &self.node.app;
        let query = DeadLetterQuery { limit: 10, ..DeadLetterQuery::default() };
        let dead: DeadLetter = until("the dead letter", || async {
            let page = app.store.dead_letters(&query).await.map_err(|error| failed(error.to_string()))?;
            Ok(page.rows.into_iter().next())
        })
        .await?;
        for failure in &dead.past.history {
            self.saw(&format!("attempt {}: {}", failure.attempt, failure.why));
        }
        if let Some(person) = Email::parse(UNLUCKY) {
            self.catcher.script(Scripted::To(person), Behaviour::Ok);
        }
        let actor = Actor::operator("demo");
        let redriven = jobs::redrive(app, &dead.key, By::new(&actor, "the mail server takes mail again")).await;
        redriven.map_err(|fault| failed(fault.to_string()))?;
        let to = order.text("/customer/email");
        let mail = until("the redriven mail", || async { Ok(self.catcher.list().into_iter().find(|mail| mail.to == to)) }).await?;
        self.saw(&format!("redriven {}: done, {} has \"{}\"", dead.key, mail.to, mail.subject));
        Ok(())
    }
}
