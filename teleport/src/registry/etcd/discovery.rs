//! [`EtcdDiscovery`]: the members of a service, as etcd knows them.

use std::{collections::BTreeMap, fmt};

use etcd_client::{Client, EventType, GetOptions, KeyValue, WatchOptions, WatchStream};

use super::{Failure, LIMIT, PAUSE, pauses::Pauses};
use crate::registry::{Discovery, Member};

/// Bytes that one answer of etcd may have: all members of a service with their routes come in one.
const ANSWER: usize = 64 * 1024 * 1024;

/// Follows the members of a service in etcd. Made by [`Etcd::discover`](super::Etcd::discover).
///
/// It reads them all and then follows their changes from that revision on. When etcd was away it reads them all again, so nothing
/// is missed, whatever happened meanwhile: changes, their compaction, or an etcd that begins anew.
pub struct EtcdDiscovery {
    client: Client,
    folder: String,
    /// By key.
    members: BTreeMap<Vec<u8>, Member>,
    /// The members were told at least once.
    told: bool,
    changes: Option<WatchStream>,
    pauses: Pauses,
}

impl EtcdDiscovery {
    pub(super) fn new(client: Client, folder: String) -> Self {
        Self {
            client,
            folder,
            members: BTreeMap::new(),
            told: false,
            changes: None,
            pauses: Pauses::new(PAUSE.0, PAUSE.1),
        }
    }

    /// Takes one step; `true` if it changed the members.
    async fn advance(&mut self) -> Result<bool, Failure> {
        let Some(changes) = &mut self.changes else {
            return self.read_all().await;
        };
        let response = changes.message().await?.ok_or(Failure::Ended)?;
        if response.canceled() {
            return Err(Failure::Canceled(match response.compact_revision() {
                0 => response.cancel_reason().to_owned(),
                revision => format!("its revision is compacted, up to {revision}"),
            }));
        }
        let before = self.members.clone();
        for event in response.events() {
            let Some(pair) = event.kv() else { continue };
            let member = match event.event_type() {
                EventType::Put => read(pair),
                EventType::Delete => None,
            };
            match member {
                Some(member) => self.members.insert(pair.key().to_vec(), member),
                None => self.members.remove(pair.key()),
            };
        }
        Ok(self.members != before)
    }

    async fn read_all(&mut self) -> Result<bool, Failure> {
        let client = self.client.kv_client();
        let mut client = client.max_decoding_message_size(ANSWER);
        let options = GetOptions::new().with_prefix();
        let answer = Failure::within(LIMIT, client.get(&*self.folder, Some(options))).await?;
        let revision = answer.header().map_or(0, |header| header.revision());

        let client = self.client.watch_client();
        let mut client = client.max_decoding_message_size(ANSWER);
        let options = WatchOptions::new()
            .with_prefix()
            .with_start_revision(revision + 1);
        let changes = Failure::within(LIMIT, client.watch(&*self.folder, Some(options))).await?;
        self.changes = Some(changes);

        let pairs = answer.kvs().iter();
        let members = pairs
            .filter_map(|pair| Some((pair.key().to_vec(), read(pair)?)))
            .collect();
        let changed = !self.told || self.members != members;
        self.members = members;
        Ok(changed)
    }
}

impl Discovery for EtcdDiscovery {
    async fn next(&mut self) -> Option<Vec<Member>> {
        loop {
            match self.advance().await {
                Ok(changed) => {
                    if changed {
                        self.told = true;
                        return Some(self.members.values().cloned().collect());
                    }
                }
                Err(failure) => {
                    self.changes = None;
                    tracing::warn!(folder = self.folder, %failure, "cannot follow etcd; trying again");
                    self.pauses.pause().await;
                }
            }
        }
    }
}

impl fmt::Debug for EtcdDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdDiscovery")
            .field("folder", &self.folder)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// One bad entry must not hide the others.
fn read(pair: &KeyValue) -> Option<Member> {
    match serde_json::from_slice(pair.value()) {
        Ok(member) => Some(member),
        Err(error) => {
            let key = String::from_utf8_lossy(pair.key());
            tracing::warn!(%key, %error, "an entry in etcd is no member and is left out");
            None
        }
    }
}
