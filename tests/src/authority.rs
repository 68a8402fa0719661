//! Certificates for the tests of TLS, in files.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Who issues certificates, with a folder for them that goes when it goes.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate in PEM.
    pub cert: PathBuf,
    /// The key in PEM.
    pub key: PathBuf,
    /// The certificate.
    pub der: Vec<u8>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Authority {
    /// A new one, which nobody trusts yet.
    #[must_use]
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("authority {number}"))
    }

    /// As [`new`](Self::new), with a name that others may have too.
    ///
    /// # Panics
    /// The folder for temporary files cannot be written.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("teleport-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir(&folder).expect("a new folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let authority = Self {
            issuer: Issuer::new(params, key),
            folder,
        };
        fs::write(authority.file(), certificate.pem()).expect("a file");
        authority
    }

    /// Its own certificate: what who trusts it needs.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for `localhost` and `127.0.0.1`.
    #[must_use]
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_with(name, |_| {})
    }

    /// A certificate that differs as `change` says. The files are named after `name`; a second one replaces the first.
    ///
    /// # Panics
    /// It cannot be made, or the files cannot be written.
    pub fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let identity = Identity {
            cert: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
            der: certificate.der().to_vec(),
        };
        fs::write(&identity.cert, certificate.pem()).expect("a file");
        fs::write(&identity.key, key.serialize_pem()).expect("a file");
        identity
    }

    /// A path in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}
