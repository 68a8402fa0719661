//! [`PeerBuilder`].

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicU64},
};

use tokio::sync::watch;
#[cfg(feature = "tls")]
use tokio_rustls::rustls;

#[cfg(feature = "tls")]
use super::tls::Tls;
use super::{Inner, Peer, PeerConfig, hub::Hub, shutdown::Stage};
#[cfg(feature = "tls")]
use crate::socket::tls::Configs;
use crate::{
    codec::{Codec, CodecConflict, Codecs},
    error::Error,
    plugin::{Chain, Plugin},
    protocol::{Protocol, Standard},
    router::{Router, RouterDispatch, Table, TableError},
    session::{Env, dispatch::Dispatch, log::CallLog},
    socket::pool::Pool,
};

/// Puts a [`Peer`] together. Made by [`Peer::builder`].
#[must_use]
pub struct PeerBuilder {
    config: PeerConfig,
    router: Router,
    plugins: Chain,
    codecs: Codecs,
    conflict: Option<CodecConflict>,
    protocol: Arc<dyn Protocol>,
    #[cfg(feature = "tls")]
    tls: Configs,
}

impl PeerBuilder {
    pub(super) fn new() -> Self {
        Self {
            config: PeerConfig::default(),
            router: Router::new(),
            plugins: Chain::default(),
            codecs: Codecs::new(),
            conflict: None,
            protocol: Arc::new(Standard),
            #[cfg(feature = "tls")]
            tls: Configs::default(),
        }
    }

    /// Replaces the whole configuration.
    pub fn config(mut self, config: PeerConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds an address to listen at; see [`PeerConfig::listen`].
    pub fn listen_at(mut self, address: impl Into<String>) -> Self {
        self.config.listen.push(address.into());
        self
    }

    /// Adds routes.
    pub fn routes(mut self, router: Router) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// Adds a plugin for everything that this peer does. Plugins run in the order in which they are added.
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Adds a body codec. Its id and name must be free; if not, [`build`](Self::build) fails.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        if let Err(conflict) = self.codecs.register(codec) {
            self.conflict.get_or_insert(conflict);
        }
        self
    }

    /// Speaks another protocol than the standard one, on all connections that name none themselves.
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        self.protocol = Arc::new(protocol);
        self
    }

    /// Listens with this configuration of rustls, as it is, instead of one made of the files in [`PeerConfig`]. Needs the
    /// feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls_server_config(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls.server = Some(config);
        self
    }

    /// Dials with this configuration of rustls, as it is, instead of one made of the files in [`PeerConfig`]. Here is the
    /// place for other roots, such as those of the operating system, and for other ways to verify. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls_client_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls.client = Some(config);
        self
    }

    /// Makes the peer. The files for TLS are read (it blocks for so long), nothing is opened yet.
    ///
    /// # Errors
    /// Two handlers have the same route (the error names both), an alias leads to none, two codecs have the same id or name, or
    /// fields of the configuration are out of bounds. A file for TLS cannot be used, or would be without effect: the error names
    /// it and its field.
    pub fn build(self) -> Result<Peer, Error> {
        if let Some(conflict) = self.conflict {
            return Err(Error::config(conflict));
        }
        let config = self.config;
        let mut mistakes = config.mistakes();
        if self.codecs.name(config.body_codec).is_none() {
            let id = config.body_codec;
            let text = format!("is {id}, which no codec has; add one with `PeerBuilder::codec`");
            mistakes.push(("body_codec", text));
        }
        if !mistakes.is_empty() {
            let lines = mistakes
                .iter()
                .map(|(field, text)| format!("`{field}` {text}"));
            return Err(Error::config(lines.collect::<Vec<_>>().join("\n")));
        }
        #[cfg(feature = "tls")]
        let tls = Tls::new(&config, self.tls).map_err(Error::config)?;
        let table = Table::new(self.router, &self.plugins).map_err(|error| match error {
            TableError::Alias(alias) => Error::config(alias),
            TableError::Conflict(conflict) => Error::config(conflict),
            TableError::Refused(refused) => Error::config(refused),
        })?;
        let dispatch = Arc::new(RouterDispatch::new(table, self.plugins));
        let inner = Arc::new_cyclic(|this: &Weak<Inner>| {
            let env = Env {
                protocol: self.protocol,
                codecs: self.codecs,
                limits: config.limits.clone(),
                header_codec: config.header_codec,
                body_codec: config.body_codec,
                gzip: config.gzip,
                read_timeout: config.read_timeout,
                packet_timeout: config.packet_timeout,
                write_timeout: config.write_timeout,
                write_buffer: config.write_buffer,
                max_handlers: config.max_handlers,
                session_memory: config.session_memory,
                pool: Arc::new(Pool::new(config.peer_memory)),
                announce: config.announce,
                log: CallLog::new(config.slow_threshold, config.print_bodies.clone()),
                hooked: dispatch.outbound().is_some(),
                observed: dispatch.observer().is_some(),
                dispatch: Arc::clone(&dispatch) as _,
                host: Weak::clone(this) as _,
            };
            Inner {
                config,
                env: Arc::new(env),
                dispatch,
                hub: Hub::default(),
                numbered: AtomicU64::new(0),
                accepting: watch::Sender::new(()),
                asked_to_close: AtomicBool::new(false),
                replaced: AtomicBool::new(false),
                stage: watch::Sender::new(Stage::Open),
                #[cfg(feature = "tls")]
                tls,
            }
        });
        Ok(Peer(inner))
    }
}

impl std::fmt::Debug for PeerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerBuilder")
            .field("config", &self.config)
            .field("routes", &self.router)
            .finish_non_exhaustive()
    }
}
