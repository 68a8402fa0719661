//! Configurations of rustls made of PEM files.

use std::{error::Error as StdError, fmt, fs, path::Path, sync::Arc};

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};

/// What is needed to speak TLS in either role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configs {
    pub(crate) server: Option<Arc<ServerConfig>>,
    pub(crate) client: Option<Arc<ClientConfig>>,
}

/// A file with the name of its configuration field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    key: &'static str,
    path: &'a Path,
}

/// The files of a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    pub(crate) cert: Option<File<'a>>,
    pub(crate) key: Option<File<'a>>,
    pub(crate) ca: Option<File<'a>>,
    pub(crate) client_ca: Option<File<'a>>,
}

impl<'a> File<'a> {
    /// `None` if there is no path, or an empty one.
    pub(crate) fn new(key: &'static str, path: Option<&'a Path>) -> Option<Self> {
        let path = path.filter(|path| !path.as_os_str().is_empty())?;
        Some(Self { key, path })
    }
}

impl Files<'_> {
    /// Reads them, and makes of them what they suffice for and `ready` has not.
    pub(crate) fn load(&self, ready: &Configs) -> Result<Configs, FileError> {
        self.check(ready)?;
        let mut configs = ready.clone();
        let identity = match (self.cert, self.key) {
            (Some(cert), Some(key)) if self.needs_identity(ready) => {
                Some(Identity::load(cert, key)?)
            }
            _ => None,
        };
        if let Some(ca) = self.ca {
            configs.client = Some(Arc::new(client_config(ca, identity.as_ref())?));
        }
        if let (None, Some(identity)) = (&ready.server, identity) {
            configs.server = Some(Arc::new(server_config(identity, self.client_ca)?));
        }
        Ok(configs)
    }

    fn needs_identity(&self, ready: &Configs) -> bool {
        ready.server.is_none() || self.ca.is_some()
    }

    /// Finds what would be without effect, which here means: less safe than its author thinks.
    fn check(&self, ready: &Configs) -> Result<(), FileError> {
        match (self.cert, self.key) {
            (Some(file), None) => return Err(file.error("needs `tls_key_file` beside it")),
            (None, Some(file)) => return Err(file.error("needs `tls_cert_file` beside it")),
            _ => {}
        }
        if let Some(file) = self.client_ca {
            if ready.server.is_some() {
                return Err(file.error("has no effect beside a ready server configuration"));
            }
            if self.cert.is_none() {
                return Err(file.error("needs `tls_cert_file` and `tls_key_file` beside it"));
            }
        }
        if let (Some(file), Some(_)) = (self.ca, &ready.client) {
            return Err(file.error("has no effect beside a ready client configuration"));
        }
        if let (Some(file), false) = (self.cert, self.needs_identity(ready)) {
            return Err(file.error("has no effect beside a ready server configuration"));
        }
        Ok(())
    }
}

/// This side's certificate with its key, and where they come from.
struct Identity<'a> {
    cert: File<'a>,
    key: File<'a>,
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
}

impl<'a> Identity<'a> {
    fn load(cert: File<'a>, key: File<'a>) -> Result<Self, FileError> {
        let chain = cert.certificates()?;
        let secret = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|error| {
            key.because(
                "holds no private key that can be read: write PEM, not encrypted",
                error,
            )
        })?;
        Ok(Self {
            cert,
            key,
            chain,
            secret,
        })
    }

    fn refused(&self, error: rustls::Error) -> FileError {
        match error {
            rustls::Error::InconsistentKeys(_) => {
                let text = format!(
                    "is not the key of the first certificate in {:?}",
                    self.cert.path
                );
                self.key.because(text, error)
            }
            error => self
                .cert
                .because("cannot be used with the key of `tls_key_file`", error),
        }
    }
}

fn server_config(
    identity: Identity<'_>,
    client_ca: Option<File<'_>>,
) -> Result<ServerConfig, FileError> {
    let unusable = |error| identity.cert.because("cannot be used", error);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => builder.with_client_cert_verifier(client_verifier(file)?),
    };
    let mut config = builder
        .with_single_cert(identity.chain.clone(), identity.secret.clone_key())
        .map_err(|error| identity.refused(error))?;
    // Sessions live long, so that little is gained by resuming them; and each handshake looks at the certificates anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_verifier(file: File<'_>) -> Result<Arc<dyn ClientCertVerifier>, FileError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(file.roots()?), provider())
        .build()
        .map_err(|error| file.because("cannot be used", error))
}

fn client_config(ca: File<'_>, identity: Option<&Identity<'_>>) -> Result<ClientConfig, FileError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| ca.because("cannot be used", error))?
        .with_root_certificates(ca.roots()?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.secret.clone_key())
            .map_err(|error| identity.refused(error))?,
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Named at each use: the process may have a default of another kind, or none.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl File<'_> {
    fn read(self) -> Result<Vec<u8>, FileError> {
        fs::read(self.path).map_err(|error| self.because("cannot be read", error))
    }

    fn certificates(self) -> Result<Vec<CertificateDer<'static>>, FileError> {
        let pem = self.read()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let found = found.map_err(|error| self.because("is no valid PEM", error))?;
        if found.is_empty() {
            return Err(
                self.error("holds no certificate: write PEM, `-----BEGIN CERTIFICATE-----`")
            );
        }
        Ok(found)
    }

    fn roots(self) -> Result<RootCertStore, FileError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots
                .add(certificate)
                .map_err(|error| self.because("holds a certificate that cannot be read", error))?;
        }
        Ok(roots)
    }

    fn error(self, problem: impl Into<String>) -> FileError {
        FileError {
            text: format!("`{}` is {:?}; it {}", self.key, self.path, problem.into()),
            source: None,
        }
    }

    fn because(
        self,
        problem: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> FileError {
        FileError {
            source: Some(Box::new(source)),
            ..self.error(problem)
        }
    }
}

/// A file that cannot be used: its configuration field, its path, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct FileError {
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for FileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
