//! TLS: a server with a certificate, clients that show theirs, and what each side is told when something does not fit.
//!
//! `cargo run --example tls`
//!
//! The certificates are made here, in a folder for temporary files, as an authority of your own would make them.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use teleport::{
    Error, Peer, PeerConfig, PullController, PullCtx, Status, TlsInfo, pull_controller,
};

/// Greets by name. Who is who is told by the certificate that the handshake has verified.
struct Hall {
    guests: HashMap<Vec<u8>, &'static str>,
}

#[pull_controller]
impl Hall {
    async fn greet(&self, ctx: &PullCtx) -> Result<String, Status> {
        let tls = ctx.session().tls();
        let certificate = tls.and_then(TlsInfo::peer_certificate);
        let guest = certificate.and_then(|der| self.guests.get(der));
        let guest = guest.ok_or_else(Status::unauthorized)?;
        Ok(format!("welcome, {guest}"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let folder = std::env::temp_dir().join(format!("teleport-example-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = run(&folder).await;
    fs::remove_dir_all(&folder)?;
    result
}

async fn run(folder: &Path) -> Result<(), Box<dyn StdError>> {
    let authority = Authority::new(folder, "ours")?;
    let first = authority.issue("server")?;
    let ann = authority.issue("ann")?;
    let eve = authority.issue("eve")?; // of the same authority, but no guest

    let server = Peer::builder()
        .config(PeerConfig {
            // A certificate and a key make this a TLS address; `tcp://` in front would make it a plain one.
            listen: vec!["127.0.0.1:0".into()],
            tls_cert_file: Some(first.cert),
            tls_key_file: Some(first.key),
            tls_client_ca_file: Some(authority.file()), // demands certificates of clients
            ..PeerConfig::default()
        })
        .routes(
            Hall {
                guests: HashMap::from([(ann.der.clone(), "ann")]),
            }
            .into_router(),
        )
        .build()?;
    let address = server.listen().await?.address();
    println!("listening at {address}");

    let trusting = PeerConfig {
        tls_ca_file: Some(authority.file()),
        ..PeerConfig::default()
    };
    let client = Peer::builder()
        .config(PeerConfig {
            tls_cert_file: Some(ann.cert),
            tls_key_file: Some(ann.key),
            ..trusting.clone()
        })
        .build()?;
    let session = client.dial(&address).await?;
    println!("ann: {}", HallClient::new(&session).greet().await?);

    println!("\nwho is turned away:");
    let config = PeerConfig {
        tls_cert_file: Some(eve.cert),
        tls_key_file: Some(eve.key),
        ..trusting.clone()
    };
    explain("eve", greet(config, &address).await);
    explain("no certificate", greet(trusting, &address).await);
    explain(
        "no TLS",
        greet(PeerConfig::default(), &address.replace("tls:", "tcp:")).await,
    );

    println!("\nwho turns away:");
    let other = folder.join("other");
    fs::create_dir(&other)?;
    let config = PeerConfig {
        tls_ca_file: Some(Authority::new(&other, "theirs")?.file()),
        ..PeerConfig::default()
    };
    explain("trusts others", greet(config, &address).await);

    println!("\nrenewed under a session that goes on:");
    let second = authority.issue("server")?;
    server.reload_tls()?;
    let again = Peer::builder().config(client.config().clone()).build()?;
    let fresh = again.dial(&address).await?;
    let shown = fresh.tls().and_then(TlsInfo::peer_certificate);
    println!(
        "new sessions see the new one: {}",
        shown == Some(&second.der)
    );
    println!("ann: {}", HallClient::new(&session).greet().await?);
    fs::write(&second.cert, "oops")?;
    explain("a bad file changes nothing", server.reload_tls());
    Ok(())
}

async fn greet(config: PeerConfig, address: &str) -> Result<String, Error> {
    let session = Peer::builder()
        .config(config)
        .build()?
        .dial(address)
        .await?;
    HallClient::new(&session).greet().await
}

/// An error says what failed, its sources say why and what to do.
fn explain<T>(what: &str, result: Result<T, Error>) {
    let Err(error) = result else {
        return println!("{what}: not turned away");
    };
    print!("{what}, expected: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        print!("\n    {error}");
        cause = error.source();
    }
    println!();
}

struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

struct Identity {
    cert: PathBuf,
    key: PathBuf,
    der: Vec<u8>,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Result<Self, Box<dyn StdError>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = folder.to_owned();
        fs::write(folder.join("ca.pem"), params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self { folder, issuer })
    }

    fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn issue(&self, name: &str) -> Result<Identity, Box<dyn StdError>> {
        // Clients check the name or the IP address that they dial against these.
        let mut params = CertificateParams::new(["localhost".into(), "127.0.0.1".into()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            cert: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
            der: certificate.der().to_vec(),
        };
        fs::write(&identity.cert, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}
