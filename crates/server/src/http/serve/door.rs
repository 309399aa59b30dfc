//! Which clients may come in, and who gives way to them. This file must not read what they send.

use super::addresses::{Addresses, Held};
use crate::http::client::Peer;
use crate::http::waiting::{Waiting, reserve_of};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a new client waits for the slot of one that gave way before the next one does.
const PATIENCE: Duration = Duration::from_millis(2);

/// The slots of one listener and who waits in them.
pub(super) struct Door {
    slots: Arc<Semaphore>,
    reserve: usize,
    waiting: Arc<Waiting>,
    addresses: Addresses,
}

/// A client that may stay, and what it takes until it goes: a slot, and one of its address's connections.
pub(super) struct Admitted {
    pub(super) stream: TcpStream,
    pub(super) peer: Peer,
    pub(super) counted: (OwnedSemaphorePermit, Held),
}

impl Door {
    pub(super) fn new(connections_max: usize, addresses: Addresses) -> Self {
        let slots = Arc::new(Semaphore::new(connections_max.max(1)));
        Self { slots, reserve: reserve_of(connections_max), waiting: Arc::default(), addresses }
    }

    /// Who waits in the slots.
    pub(super) const fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// The next client and its slot. The client comes first: only when there is one that may stay must somebody give way.
    pub(super) async fn next(&self, listener: &TcpListener) -> io::Result<Admitted> {
        let (stream, peer, held) = self.accept(listener).await?;
        let admitted = |slot| Admitted { stream, peer, counted: (slot, held) };
        if self.slots.available_permits() <= self.reserve {
            self.make_room();
        }
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(admitted(slot));
        }
        loop {
            if let Ok(slot) = tokio::time::timeout(PATIENCE, Arc::clone(&self.slots).acquire_owned()).await {
                return slot.map(admitted).map_err(io::Error::other);
            }
            // At once: others queue behind this one, and whoever has waited long enough to be sent away will not miss a moment.
            self.make_room();
        }
    }

    /// Sends away whoever waits longest; says whether there was somebody.
    pub(super) fn make_room(&self) -> bool {
        self.waiting.send_longest_away(Instant::now())
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, Peer, Held)> {
        loop {
            let (stream, address) = listener.accept().await?;
            if let Some(held) = self.addresses.admit(address.ip()) {
                return Ok((stream, Peer(address.ip()), held));
            }
            tracing::debug!("a connection too many from one address");
        }
    }
}
