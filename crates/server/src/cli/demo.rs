//! `ordermill demo`: the story of an order on a temporary store, told through the real HTTP API, a simulated Stripe that
//! sends really signed webhooks, and a mail catcher. Ends well only if every step did and `fsck` is clean.

mod shop;
mod story;

use super::boot::{self, Access, Node};
use super::node::{self, Duties, Listeners};
use super::output::Output;
use super::{Failure, Outcome};
use crate::config::Environment;
use shop::Shop;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(output: &Output) -> Outcome {
    let folder = TemporaryFolder::new()?;
    let (node, listeners, duties) = start(&folder).await?;
    let stop = CancellationToken::new();
    let told = {
        let shop = Shop::new(&node)?;
        let work = node::work(&node, listeners, duties, stop.clone());
        let tell = async {
            let told = story::tell(&node, &shop, output).await;
            stop.cancel();
            told
        };
        let (failure, told) = tokio::join!(work, tell);
        match failure {
            Some(why) => Err(Failure::unavailable(why)),
            None => told,
        }
    };
    node.close().await;
    told
}

async fn start(folder: &TemporaryFolder) -> Result<(Node, Listeners, Duties), Failure> {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    // The demo is the same whatever the environment says.
    let mut loaded = boot::load_dev(Some(&folder.0), Some(any_port), &Environment::default())?;
    let duties = Duties { api: true, worker: true };
    let listeners = Listeners::bind(&loaded.config, duties).await?;
    if let Some(bound) = listeners.api_address() {
        loaded.set_bound(bound);
    }
    // One mail each is enough for a story: the confirmation.
    loaded.config.mail.order_received = false;
    let node = boot::open(loaded.config, Access::Make).await?;
    super::dev::seed(&node.app).await.map_err(|fault| Failure::unavailable(format!("cannot fill the store: {fault}")))?;
    Ok((node, listeners, duties))
}

/// A folder that is gone at the end.
pub(super) struct TemporaryFolder(pub(super) PathBuf);

impl TemporaryFolder {
    pub(super) fn new() -> Result<Self, Failure> {
        let mut random = [0_u8; 8];
        crate::app::Randomness::fill(&crate::app::SystemRandomness::default(), &mut random);
        let path = std::env::temp_dir().join(format!("ordermill-{}", hex::encode(random)));
        std::fs::create_dir(&path).map_err(|error| Failure::unavailable(format!("no temporary folder: {error}")))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
