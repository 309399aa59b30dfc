//! Random operations on a store and on the memory model side by side: every answer the same, and at the end every table.
//!
//! [`scripts`] makes lists of operations, [`compare`] runs one; [`batches`] and [`compare_batch`] do the same for changes
//! that arrive together, which must be as good as one by one. Both say what differs as text, so that the caller's
//! proptest can shrink. This file must not decide what operations there are; that is `ops`, and `world` turns them into changes.

mod ops;
mod world;

pub use ops::{Op, Write, batches, scripts};

use super::Subject;
use super::fixture::{MINUTE_MS, batch_order, everything, timeless_dead, timeless_job};
use crate::memory::MemoryStore;
use crate::{ClaimTarget, CommitError, DeadLetterQuery, InboxQuery, JobQuery, OrderQuery, OrderRef, Page, Sequence, Store, StoreError};
use ordermill_core::change::Change;
use ordermill_core::job::{Claim, Job};
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use world::World;

/// Runs the operations on both; says what differs first.
pub async fn compare(subject: &dyn Subject, script: &[Op]) -> Result<(), String> {
    let mut world = World::new(subject).await;
    let mut blocks: Vec<Range<i64>> = Vec::new();
    for (index, op) in script.iter().enumerate() {
        let told = step(subject, &mut world, op, &mut blocks).await;
        told.map_err(|difference| format!("operation {index}, {op:?}: {difference}"))?;
    }
    same_tables(subject, &world.model).await?;
    same_lists(subject, &world).await
}

/// Runs the setup one by one on both and then the batch: as one on the store, as one on the model, and one by one on a
/// second model, in the order in which the batch is applied.
pub async fn compare_batch(subject: &dyn Subject, setup: &[Write], batch: &[Write]) -> Result<(), String> {
    let mut world = World::new(subject).await;
    for write in setup {
        commit(subject, &mut world, write).await?;
    }
    for queue in world::QUEUES {
        claim(subject, &mut world, &ClaimTarget::Queue(queue.to_owned()), 2, 60).await?;
    }
    let history = world.committed.clone();
    let lone = MemoryStore::new();
    for change in &history {
        // The second model's past is the first one's, so what it thinks of it was compared already.
        let _known = lone.commit(change).await;
    }
    for queue in world::QUEUES {
        let _known = lone.claim(&ClaimTarget::Queue(queue.to_owned()), 2, 60 * MINUTE_MS, "worker").await;
    }
    let changes = world.build_all(batch).await;
    let results = subject.commit_together(changes.clone()).await;
    same("the batch", &outcomes(&results)?, &outcomes(&world.model.commit_together(changes.clone()))?)?;
    let mut one_by_one = vec![Ok(()); changes.len()];
    for index in batch_order(&changes) {
        one_by_one[index] = lone.commit(&changes[index]).await;
    }
    same("the batch and one by one", &outcomes(&results)?, &outcomes(&one_by_one)?)?;
    same_tables(subject, &world.model).await?;
    same_tables(subject, &lone).await
}

async fn step(subject: &dyn Subject, world: &mut World, op: &Op, blocks: &mut Vec<Range<i64>>) -> Result<(), String> {
    let store = subject.store();
    match op {
        Op::Write(write) => commit(subject, world, write).await,
        Op::Together(writes) => {
            let changes = world.build_all(writes).await;
            let results = subject.commit_together(changes.clone()).await;
            same("the batch", &outcomes(&results)?, &outcomes(&world.model.commit_together(changes))?)
        }
        Op::Claim { queue, limit, lease_minutes } => {
            let target = ClaimTarget::Queue(world::queue(*queue).to_owned());
            claim(subject, world, &target, usize::from(*limit), i64::from(*lease_minutes)).await
        }
        Op::ClaimJobs { keys, limit } => {
            let keys = keys.iter().map(|(queue, group, seq)| world::job_key(*queue, *group, *seq)).collect();
            claim(subject, world, &ClaimTarget::Jobs(keys), usize::from(*limit), 2).await
        }
        Op::Extend { claims, minutes } => {
            let claims: Vec<Claim> = claims.iter().filter_map(|index| world.claim(*index)).collect();
            let lease_ms = i64::from(*minutes) * MINUTE_MS;
            let (left, right) = (store.extend(&claims, lease_ms).await, world.model.extend(&claims, lease_ms).await);
            same("extend", &answer(left)?, &answer(right)?)
        }
        Op::Sweep => {
            let (left, right) = (answer(store.sweep().await)?, answer(world.model.sweep().await)?);
            same("buried jobs", &left.exhausted_jobs, &right.exhausted_jobs)?;
            // A store may keep rows of its own, such as batch ids, and prune them as well.
            if left.pruned_rows < right.pruned_rows { Err(format!("{left:?} is less than {right:?}")) } else { Ok(()) }
        }
        Op::Advance { minutes } => {
            subject.advance_ms(i64::from(*minutes) * MINUTE_MS);
            world.clock.advance_ms(i64::from(*minutes) * MINUTE_MS);
            Ok(())
        }
        Op::Numbers { count } => {
            let block = answer(store.numbers(Sequence::Order, u32::from(*count)).await)?;
            same("the length of a block", &(block.end - block.start), &i64::from(*count))?;
            let overlaps = blocks.iter().any(|earlier| earlier.start < block.end && block.start < earlier.end);
            blocks.push(block);
            if overlaps { Err(format!("a number was handed out twice: {blocks:?}")) } else { Ok(()) }
        }
        Op::Look => same_lists(subject, world).await,
    }
}

async fn commit(subject: &dyn Subject, world: &mut World, write: &Write) -> Result<(), String> {
    let Some(change) = world.build(write).await else { return Ok(()) };
    world.committed.push(Arc::clone(&change));
    let (left, right) = (subject.store().commit(&change).await, world.model.commit(&change).await);
    same("commit", &outcomes(&[left])?, &outcomes(&[right])?).map_err(|difference| format!("{difference}\n{change:#?}"))
}

async fn claim(subject: &dyn Subject, world: &mut World, target: &ClaimTarget, limit: usize, minutes: i64) -> Result<(), String> {
    let lease_ms = minutes * MINUTE_MS;
    let left = answer(subject.store().claim(target, limit, lease_ms, "worker").await)?;
    let right = answer(world.model.claim(target, limit, lease_ms, "worker").await)?;
    world.claims.extend(right.iter().map(Job::claim));
    let timeless = |jobs: Vec<Job>| jobs.into_iter().map(timeless_job).collect::<Vec<_>>();
    same("claim", &timeless(left), &timeless(right))
}

/// What became of commits, as far as it must not differ.
fn outcomes(results: &[Result<(), CommitError>]) -> Result<Vec<String>, String> {
    let outcome = |result: &Result<(), CommitError>| match result {
        Ok(()) => Ok("applied".to_owned()),
        Err(CommitError::Conflict(conflict)) => Ok(format!("{:#?}", conflict.failed)),
        Err(CommitError::Fault(fault)) => Ok(format!("{fault:?}")),
        Err(other) => Err(format!("neither applied nor refused: {other}")),
    };
    results.iter().map(outcome).collect()
}

fn answer<T>(result: Result<T, StoreError>) -> Result<T, String> {
    result.map_err(|error| format!("no answer: {error}"))
}

fn same<T: Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} differs\n   store: {found:#?}\n   model: {expected:#?}")) }
}

async fn same_tables(subject: &dyn Subject, model: &MemoryStore) -> Result<(), String> {
    let (found, expected) = (everything(subject.store()).await, everything(model).await);
    for ((table, found), (_, expected)) in found.iter().zip(&expected) {
        same(&format!("the table of {table:?}"), found, expected)?;
    }
    Ok(())
}

/// Every list and every way to look at one thing.
async fn same_lists(subject: &dyn Subject, world: &World) -> Result<(), String> {
    let (store, model): (&dyn Store, &dyn Store) = (subject.store(), &world.model);
    let page = Page::first(3);
    same("users", &answer(store.users(&page).await)?, &answer(model.users(&page).await)?)?;
    same("API keys", &answer(store.api_keys(&page).await)?, &answer(model.api_keys(&page).await)?)?;
    same("the audit trail", &answer(store.audit(&page).await)?, &answer(model.audit(&page).await)?)?;
    same("due orders", &answer(store.due_orders(5).await)?, &answer(model.due_orders(5).await)?)?;
    same("catalogue", &answer(store.catalogue(None).await)?, &answer(model.catalogue(None).await)?)?;
    let skus: Vec<String> = world.products.iter().map(|product| product.sku.clone()).collect();
    same("stock", &answer(store.stock(&skus).await)?, &answer(model.stock(&skus).await)?)?;
    for token in world::tokens() {
        same("session", &answer(store.session(&token).await)?, &answer(model.session(&token).await)?)?;
    }
    let orders = OrderQuery { payment_status: Some(ordermill_core::payment::PaymentStatus::Paid), limit: 100, ..OrderQuery::default() };
    same("paid orders", &answer(store.orders(&orders).await)?.rows, &answer(model.orders(&orders).await)?.rows)?;
    let shirts = OrderQuery { text: Some("SHIRT".to_owned()), limit: 2, ..OrderQuery::default() };
    same("orders of shirts", &answer(store.orders(&shirts).await)?, &answer(model.orders(&shirts).await)?)?;
    for number in 0..30 {
        let by = OrderRef::Number(number);
        let (found, expected) = (answer(store.order(&by).await)?, answer(model.order(&by).await)?);
        same("an order", &found, &expected)?;
        if let Some(order) = expected {
            same("events", &answer(store.events(order.id, 1, 3).await)?, &answer(model.events(order.id, 1, 3).await)?)?;
        }
    }
    same_queues(store, model).await?;
    for limit in [2, 100] {
        let query = InboxQuery { state: None, cursor: None, limit };
        let (found, expected) = (answer(store.inbox(&query).await)?, answer(model.inbox(&query).await)?);
        same("received events", &found.rows, &expected.rows)?;
        same("whether there are more", &found.cursor.is_some(), &expected.cursor.is_some())?;
    }
    Ok(())
}

async fn same_queues(store: &dyn Store, model: &dyn Store) -> Result<(), String> {
    let queues = |infos: Vec<crate::QueueInfo>| -> Vec<_> {
        let is_due = |info: &crate::QueueInfo| info.oldest_due_ms >= MINUTE_MS;
        let open = |info: &crate::QueueInfo| info.circuit_open_ms > 0;
        infos
            .iter()
            .map(|info| (info.queue.clone(), info.waiting, info.running, info.dead, info.is_paused, is_due(info), open(info)))
            .collect()
    };
    same("queues", &queues(answer(store.queues().await)?), &queues(answer(model.queues().await)?))?;
    let query = JobQuery { queue: None, cursor: None, limit: 100 };
    let jobs = |page: Page<crate::JobInfo>| -> Vec<_> {
        page.rows
            .into_iter()
            .map(|job| (job.key, job.payload, job.past.attempt, job.past.uncounted, job.max_attempts, job.is_running, job.worker))
            .collect()
    };
    same("jobs", &jobs(answer(store.jobs(&query).await)?), &jobs(answer(model.jobs(&query).await)?))?;
    for limit in [1, 100] {
        let query = DeadLetterQuery { limit, ..DeadLetterQuery::default() };
        let letters = |page: Page<ordermill_core::job::DeadLetter>| -> Vec<_> { page.rows.into_iter().map(timeless_dead).collect() };
        same("dead letters", &letters(answer(store.dead_letters(&query).await)?), &letters(answer(model.dead_letters(&query).await)?))?;
        let query = DeadLetterQuery { text: Some("lease".to_owned()), ..query };
        same("lost leases", &letters(answer(store.dead_letters(&query).await)?), &letters(answer(model.dead_letters(&query).await)?))?;
    }
    Ok(())
}

/// The changes of a batch, for tests that want to look at them.
pub async fn changes_of(subject: &dyn Subject, writes: &[Write]) -> Vec<Arc<Change>> {
    World::new(subject).await.build_all(writes).await
}
