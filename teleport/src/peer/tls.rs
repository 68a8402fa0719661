//! What a peer needs for TLS: configurations, read anew on demand, and the handshakes with them.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

use super::{ConnOptions, Peer, PeerConfig};
use crate::{
    error::Error,
    socket::{
        hang_up::hang_up,
        tls::{self, Configs, File, FileError, Files},
        transport::{self, Stream},
    },
};

pub(super) struct Tls {
    /// What the application has given as it is.
    ready: Configs,
    /// What new connections use.
    current: RwLock<Configs>,
}

impl Tls {
    pub(super) fn new(config: &PeerConfig, ready: Configs) -> Result<Self, FileError> {
        let current = RwLock::new(files(config).load(&ready)?);
        Ok(Self { ready, current })
    }

    fn current(&self) -> Configs {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn client(&self, options: &ConnOptions) -> Option<Arc<ClientConfig>> {
        options
            .tls_client_config
            .clone()
            .or_else(|| self.current().client)
    }

    fn server(&self) -> Option<Arc<ServerConfig>> {
        self.current().server
    }

    /// This side has what it needs to listen with TLS.
    pub(super) fn listens(&self) -> bool {
        self.server().is_some()
    }

    /// This side has what it needs to dial with TLS.
    pub(super) fn dials(&self, options: &ConnOptions) -> bool {
        self.client(options).is_some()
    }

    /// The handshake of a connection that was accepted where TLS is spoken.
    pub(super) async fn accept(&self, stream: Stream) -> Result<Stream, Error> {
        let (Stream::Tcp(stream), Some(config)) = (stream, self.server()) else {
            return Err(Error::accept("there is no certificate any more"));
        };
        match tls::accept(config, stream).await {
            Ok((stream, info)) => Ok(Stream::Tls(stream, Box::new(info))),
            Err((error, stream)) => {
                tokio::spawn(hang_up(stream));
                Err(Error::accept(error))
            }
        }
    }

    /// The handshake of a connection to an address where TLS is spoken.
    pub(super) async fn connect(
        &self,
        stream: Stream,
        address: &str,
        options: &ConnOptions,
    ) -> Result<Stream, Error> {
        let (Stream::Tcp(stream), Some(config)) = (stream, self.client(options)) else {
            return Err(Error::dial("there is nothing to trust any more"));
        };
        let host = transport::host(address);
        let name = options.tls_server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Error::dial(format!(
                "`{name}` is no name that a certificate can have; say which to expect with \
                 `ConnOptions::tls_server_name`"
            ))
        })?;
        let (stream, info) = tls::connect(config, name, stream)
            .await
            .map_err(Error::dial)?;
        Ok(Stream::Tls(stream, Box::new(info)))
    }
}

impl Peer {
    /// Reads the files of [`PeerConfig`] for TLS again, for the connections to come. Those that are there stay as they are.
    /// Call it when certificates have been renewed, by a timer or at a signal.
    ///
    /// ```no_run
    /// # async fn renewals(peer: teleport::Peer, mut renewed: tokio::sync::mpsc::Receiver<()>) {
    /// while renewed.recv().await.is_some() {
    ///     if let Err(error) = peer.reload_tls() {
    ///         tracing::error!(?error, "the old certificates stay in use");
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// It reads a few small files, and blocks for so long. Ready configurations of rustls are left as they are: they can
    /// bring their own way to renew certificates. Needs the feature `tls`.
    ///
    /// # Errors
    /// A file cannot be read or used: the error's source names it and its field. Then all old ones stay in use.
    pub fn reload_tls(&self) -> Result<(), Error> {
        let tls = &self.0.tls;
        let fresh = files(&self.0.config)
            .load(&tls.ready)
            .map_err(Error::reload)?;
        *tls.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

fn files(config: &PeerConfig) -> Files<'_> {
    Files {
        cert: File::new("tls_cert_file", config.tls_cert_file.as_deref()),
        key: File::new("tls_key_file", config.tls_key_file.as_deref()),
        ca: File::new("tls_ca_file", config.tls_ca_file.as_deref()),
        client_ca: File::new("tls_client_ca_file", config.tls_client_ca_file.as_deref()),
    }
}
