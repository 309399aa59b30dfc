//! Order numbers, taken from the store in blocks: codes are final from the first write, and gaps are fine.

use crate::app::{App, Fault};
use ordermill_store::Sequence;
use std::ops::Range;
use tokio::sync::Mutex;

/// How many numbers a process takes at once. A restart loses what is left of a block.
const BLOCK: u32 = 100;

/// The numbers this process has left.
#[derive(Default)]
pub struct NumberBlock(Mutex<Range<i64>>);

impl NumberBlock {
    /// A number that no other order has or will get.
    pub async fn next(&self, app: &App) -> Result<i64, Fault> {
        let mut block = self.0.lock().await;
        if block.is_empty() {
            *block = app.store.numbers(Sequence::Order, BLOCK).await?;
        }
        block.next().ok_or_else(|| Fault::Internal("the store returned an empty block of numbers".to_owned()))
    }
}
