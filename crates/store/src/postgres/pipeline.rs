//! Several statements on one connection in one round trip, in a fixed order. This file must not know what they say.

use super::trouble::{Trouble, answer};
use deadpool_postgres::ClientWrapper;
use futures_util::future::{MaybeDone, maybe_done, try_join_all};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

/// A value bound to a statement.
pub(super) type Param<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// One statement and its values.
pub(super) struct Step<'a> {
    pub(super) sql: &'static str,
    pub(super) params: Vec<Param<'a>>,
    /// How many rows it must write, where that is known: anything else means that a lock did not hold.
    pub(super) must_write: Option<u64>,
}

impl<'a> Step<'a> {
    pub(super) const fn new(sql: &'static str, params: Vec<Param<'a>>) -> Self {
        Self { sql, params, must_write: None }
    }

    #[must_use]
    pub(super) const fn writing(mut self, rows: usize) -> Self {
        self.must_write = Some(rows as u64);
        self
    }
}

/// Runs `BEGIN` and then every step, in one round trip, and returns the rows of each.
pub(super) async fn begin_and_read(client: &ClientWrapper, steps: &[Step<'_>]) -> Result<Vec<Vec<Row>>, Trouble> {
    let statements = prepare(client, steps).await?;
    let reads = steps.iter().zip(&statements).map(|(step, statement)| read(client, step, statement));
    // The futures send when they are first polled, and `begin` is polled first.
    let both = async {
        let begin = async { client.batch_execute("BEGIN").await.map(|()| Vec::new()) };
        let begin: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(begin);
        let rest = reads.map(|read| Box::pin(read) as Pin<Box<dyn Future<Output = _> + Send>>);
        Ok::<_, Trouble>(in_order(std::iter::once(begin).chain(rest)).await)
    };
    let mut answers = answer(both).await?.into_iter();
    answers.next().transpose()?;
    answers.map(|rows| rows.map_err(Trouble::from)).collect()
}

/// Runs every step in one round trip, each of which writes.
pub(super) async fn write(client: &ClientWrapper, steps: &[Step<'_>]) -> Result<(), Trouble> {
    let statements = prepare(client, steps).await?;
    let writes = steps.iter().zip(&statements).map(|(step, statement)| execute(client, step, statement));
    let answers = answer(async { Ok::<_, Trouble>(in_order(writes).await) }).await?;
    for (written, step) in answers.into_iter().zip(steps) {
        let written = written?;
        if step.must_write.is_some_and(|expected| expected != written) {
            return Err(Trouble::Refused(format!("{written} rows instead of {:?} were written by: {}", step.must_write, step.sql)));
        }
    }
    Ok(())
}

/// Every statement is prepared before the first one is sent, or an unprepared one would fall behind those after it.
async fn prepare(client: &ClientWrapper, steps: &[Step<'_>]) -> Result<Vec<Statement>, Trouble> {
    answer(try_join_all(steps.iter().map(|step| client.prepare_cached(step.sql)))).await
}

async fn read(client: &ClientWrapper, step: &Step<'_>, statement: &Statement) -> Result<Vec<Row>, tokio_postgres::Error> {
    client.query(statement, &bound(&step.params)).await
}

async fn execute(client: &ClientWrapper, step: &Step<'_>, statement: &Statement) -> Result<u64, tokio_postgres::Error> {
    client.execute(statement, &bound(&step.params)).await
}

fn bound<'p>(params: &'p [Param<'_>]) -> Vec<&'p (dyn ToSql + Sync)> {
    params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect()
}

/// Polls all futures together, always in their order. `join_all` promises no order, and here the order is the meaning.
async fn in_order<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<Pin<Box<MaybeDone<F>>>> = futures.map(|future| Box::pin(maybe_done(future))).collect();
    poll_fn(|context| {
        let mut is_ready = true;
        for future in &mut all {
            is_ready &= future.as_mut().poll(context).is_ready();
        }
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.iter_mut().filter_map(|future| future.as_mut().take_output()).collect()
}
