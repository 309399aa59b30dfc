//! A shop as `ordermill serve` runs it: settings of its own, a mail server that takes or refuses, a customer.

use super::server::Server;
use super::world::{Keeping, PLENTY, World};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// What tokens are made with.
pub(super) const SECRET_KEY: &str = "c2hvcC1rZXktc2hvcC1rZXktc2hvcC1rZXktc2hvcC0=";
/// What every customer signs in with.
pub(super) const PASSWORD: &str = "kinh lup xanh 7319";
/// How long anything may take on a machine that builds and tests at the same time.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A shop and what stands around it.
pub(super) struct Shop {
    pub(super) world: World,
    pub(super) mail: MailServer,
}

impl Shop {
    /// A shop with goods, which is not open yet.
    pub(super) async fn new(keeping: Keeping) -> Self {
        let mut world = World::new(keeping).await;
        let mail = MailServer::start().await;
        world.server.set("SERVER__SECRET_KEY", SECRET_KEY);
        world.server.set("MAIL__SMTP_URL", &format!("smtp://127.0.0.1:{}", mail.port));
        world.server.set("MAIL__FROM", "Shop <shop@example.com>");
        world.server.set("SEPAY__BANK_BIN", "970436");
        world.server.set("SEPAY__ACCOUNT_NUMBER", "0071000123456");
        world.server.set("SEPAY__ACCOUNT_NAME", "SHOP");
        world.open_shop().await;
        Self { world, mail }
    }

    /// Opens it.
    pub(super) async fn open(&self) -> Server {
        self.world.server.serve_ready().await
    }

    /// What the API says to a body.
    pub(super) async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request = self.world.http.post(self.world.server.url(path)).bearer_auth(token).json(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// A customer of this address and name; returns the token.
    pub(super) async fn customer(&self, email: &str, name: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD, "name": name, "phone": "0907731964" });
        let (status, session) = self.post("/api/users/register", "", &body).await;
        assert_eq!(status, 201, "{session}");
        session["token"].as_str().expect("a token").to_owned()
    }

    /// Places an order and returns its code.
    pub(super) async fn order(&self, token: &str, method: &str, note: &str) -> String {
        let products = self.world.http.get(self.world.server.url(&format!("/api/products?q={PLENTY}"))).send().await.expect("an answer");
        let products: Value = products.json().await.expect("JSON");
        let address = json!({ "name": "Trần Kim Liên", "phone": "0907731964", "line1": "1 Lê Lợi", "province": "Huế", "country": "VN" });
        let body = json!({
            "products": [{ "productId": products["data"][0]["id"], "quantity": 1 }], "paymentMethod": method, "note": note,
            "shippingAddress": address,
        });
        let (status, order) = self.post("/api/orders/create", token, &body).await;
        assert_eq!(status, 201, "{order}");
        order["code"].as_str().expect("a code").to_owned()
    }

    /// Pays an order by an event that is really signed.
    pub(super) async fn pay(&self, code: &str) {
        let paid = self.world.server.run(&["test-webhook", "stripe", "payment_intent.succeeded", "--order", code]).await;
        assert_eq!(paid.status.code(), Some(0), "{paid:?}");
    }

    /// What the operations listener counts.
    pub(super) async fn metrics(&self) -> String {
        let answer = self.world.http.get(self.world.server.ops_url("/metrics")).send().await.expect("an answer");
        answer.text().await.expect("text")
    }

    /// Runs a command and returns what it says on standard output.
    pub(super) async fn said(&self, arguments: &[&str]) -> String {
        let output = self.world.server.run(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The lines that the node on this data folder has kept, by `ordermill logs`.
    pub(super) async fn logged(&self, arguments: &[&str]) -> Vec<Value> {
        let said = self.said(&[&["logs", "-o", "json"], arguments].concat()).await;
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

/// Waits until something is so.
pub(super) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A mail server that knows just enough, and repeats the address of whom it refuses, as real ones do.
pub(super) struct MailServer {
    pub(super) port: u16,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    refuses: AtomicBool,
    refused: AtomicUsize,
    mails: Mutex<Vec<String>>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let told = Arc::new(Told::default());
        let answering = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let told = Arc::clone(&answering);
                tokio::spawn(async move { drop(converse(stream, &told).await) });
            }
        });
        Self { port, told }
    }

    /// From now on nobody is known here.
    pub(super) fn refuse(&self) {
        self.told.refuses.store(true, Ordering::Relaxed);
    }

    /// How many recipients were refused.
    pub(super) fn refused(&self) -> usize {
        self.told.refused.load(Ordering::Relaxed)
    }

    /// The mails that arrived, as they came.
    pub(super) fn mails(&self) -> Vec<String> {
        self.told.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn converse(stream: TcpStream, told: &Told) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 localhost\r\n").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match line.get(..4).unwrap_or_default() {
            "RCPT" if told.refuses.load(Ordering::Relaxed) => {
                told.refused.fetch_add(1, Ordering::Relaxed);
                format!("550 5.1.1 {} is not known here\r\n", line.trim())
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") && stream.read_line(&mut mail).await? > 0 {}
                told.mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                "250 queued as 4711\r\n".to_owned()
            }
            "QUIT" => "221 bye\r\n".to_owned(),
            _ => "250 localhost\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}
