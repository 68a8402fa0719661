//! TLS: who is let in, who is trusted, what each side is told when it does not work, and certificates that change.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use rcgen::{ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use teleport::{
    Addr, ConnOptions, Error, Handshake, Hooks, Listening, Peer, PeerConfig, Plugin,
    PullController, PullCtx, Raw, Router, Status, TlsInfo, pull_controller, rustls,
};
use teleport_tests::{
    authority::{Authority, Identity},
    gate::{Gate, GateClient},
    log::Log,
    pair::peer,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const ANY: &str = "127.0.0.1:0";

/// Tells who calls, and echoes.
struct Who;

#[pull_controller]
impl Who {
    async fn certificate(&self, ctx: &PullCtx) -> Raw {
        let tls = ctx.session().tls();
        let certificate = tls.and_then(TlsInfo::peer_certificate);
        Raw(certificate.unwrap_or_default().to_vec().into())
    }

    async fn echo(&self, body: Raw) -> Raw {
        body
    }
}

/// Listens with this certificate at these addresses.
fn server_config(identity: &Identity, listen: &[&str]) -> PeerConfig {
    PeerConfig {
        listen: listen.iter().map(ToString::to_string).collect(),
        tls_cert_file: Some(identity.cert.clone()),
        tls_key_file: Some(identity.key.clone()),
        ..PeerConfig::default()
    }
}

/// Trusts this authority.
fn client_config(authority: &Authority) -> PeerConfig {
    PeerConfig {
        tls_ca_file: Some(authority.file()),
        ..PeerConfig::default()
    }
}

/// As [`client_config`], and shows this certificate if asked.
fn named_client_config(authority: &Authority, identity: &Identity) -> PeerConfig {
    PeerConfig {
        tls_cert_file: Some(identity.cert.clone()),
        tls_key_file: Some(identity.key.clone()),
        ..client_config(authority)
    }
}

fn plain_config() -> PeerConfig {
    PeerConfig {
        listen: vec![ANY.into()],
        ..PeerConfig::default()
    }
}

async fn listen(config: PeerConfig) -> (Peer, Listening) {
    let server = peer(config, Who.into_router());
    let listening = server.listen().await.expect("free ports");
    (server, listening)
}

fn plain_client() -> Peer {
    peer(PeerConfig::default(), Router::new())
}

fn client(config: PeerConfig) -> Peer {
    peer(config, Router::new())
}

/// The error with all its sources.
fn all(error: &Error) -> String {
    format!("{error:?}")
}

#[tokio::test]
async fn calls_go_both_ways_under_tls_and_bodies_of_any_size_arrive() {
    let authority = Authority::new();
    let (server, listening) = listen(server_config(&authority.issue("server"), &[ANY])).await;
    let address = listening.address();
    assert!(address.starts_with("tls://127.0.0.1:"), "{address}");

    let gate = Gate::default();
    let client = peer(client_config(&authority), gate.routes());
    let session = client.dial(&address).await.expect("trusted");
    assert!(matches!(session.peer_addr(), Addr::Tls(_)), "{session:?}");
    let tls = session.tls().expect("TLS");
    assert_eq!(tls.server_name(), Some("127.0.0.1"));
    assert_eq!(tls.alpn(), None);

    for size in [0, 1, 100_000, 5_000_000] {
        let body: Vec<u8> = (0..size).map(|at: u32| at as u8).collect();
        let echo = WhoClient::new(&session)
            .echo(Raw(body.clone().into()))
            .await;
        assert!(echo.expect("an echo").0 == body, "{size} bytes");
    }
    let back = server.sessions().next().expect("one session");
    let answer = GateClient::new(&back).open_road(7).await;
    assert_eq!(answer.expect("an answer"), 7);

    client.close().await;
    back.closed().await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test]
async fn a_scheme_says_whether_tls_is_spoken_and_without_one_the_configuration_does() {
    let authority = Authority::new();
    let addresses = [ANY, "tcp://127.0.0.1:0", "tls://127.0.0.1:0"];
    let (_server, listening) = listen(server_config(&authority.issue("server"), &addresses)).await;
    let [Addr::Tls(bare), Addr::Tcp(plain), Addr::Tls(secure)] = listening.addrs() else {
        panic!("a certificate makes bare addresses TLS: {listening:?}")
    };

    let trusting = client(client_config(&authority));
    for (address, tls) in [
        (bare.to_string(), true),
        (format!("tls://localhost:{}", secure.port()), true),
        (format!("tcp://{plain}"), false),
    ] {
        let session = trusting.dial(&address).await.expect("trusted");
        assert_eq!(session.tls().is_some(), tls, "{address}");
        let certificate = WhoClient::new(&session).certificate().await;
        assert!(certificate.expect("an answer").0.is_empty());
    }
    // Who trusts nobody dials bare addresses without TLS.
    let session = plain_client().dial(&plain.to_string()).await.expect("TCP");
    assert!(session.tls().is_none());
    let echo = WhoClient::new(&session).echo(Raw("x".into())).await;
    assert_eq!(echo.expect("an echo").0, "x");
}

#[tokio::test]
async fn tls_addresses_need_what_they_ask_for() {
    let error = client(PeerConfig::default())
        .dial("tls://127.0.0.1:1")
        .await;
    let error = all(&error.expect_err("nothing to trust"));
    assert!(error.contains("set tls_ca_file"), "{error}");

    let config = PeerConfig {
        listen: vec!["tls://127.0.0.1:0".into()],
        ..PeerConfig::default()
    };
    let error = client(config).listen().await.expect_err("no certificate");
    let error = all(&error);
    assert!(error.contains("tls://127.0.0.1:0"), "{error}");
    assert!(
        error.contains("set tls_cert_file and tls_key_file"),
        "{error}"
    );

    let authority = Authority::new();
    let trusting = client(client_config(&authority));
    let (_server, listening) = listen(server_config(&authority.issue("server"), &[ANY])).await;
    let options = ConnOptions::new().tls_server_name("no name");
    let error = trusting.dial_with(&listening.address(), options).await;
    let error = all(&error.expect_err("a blank"));
    assert!(error.contains("`no name` is no name"), "{error}");
}

/// Lets in whose certificate it knows, before anything is routed.
struct Doorman(Vec<u8>);

impl Plugin for Doorman {
    fn name(&self) -> &str {
        "doorman"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let tls = handshake.session().tls();
        match tls.and_then(TlsInfo::peer_certificate) == Some(&self.0) {
            true => Ok(()),
            false => Err(Status::unauthorized()),
        }
    }
}

#[tokio::test]
async fn the_clients_certificate_is_known_to_plugins_and_handlers() {
    let log = Log::start();
    let authority = Authority::new();
    let (ann, bob) = (authority.issue("ann"), authority.issue("bob"));
    let config = PeerConfig {
        tls_client_ca_file: Some(authority.file()),
        ..server_config(&authority.issue("server"), &[ANY])
    };
    let server = Peer::builder()
        .config(config)
        .routes(Who.into_router())
        .plugin(Doorman(ann.der.clone()))
        .build()
        .expect("a peer");
    let address = server.listen().await.expect("a port").address();
    let port = address.rsplit(':').next().expect("a port");
    let address = format!("tls://localhost:{port}");

    // Twice: the second handshake must not know less than the first.
    for _ in 0..2 {
        let known = client(named_client_config(&authority, &ann));
        let session = known.dial(&address).await.expect("trusted");
        let shown = WhoClient::new(&session).certificate().await;
        assert_eq!(shown.expect("let in").0, ann.der);
        let accepted = server.sessions().next().expect("one session");
        let tls = accepted.tls().expect("TLS");
        assert_eq!(tls.server_name(), Some("localhost"));
        assert_eq!(tls.peer_chain().len(), 1);
        known.close().await;
    }

    let other = client(named_client_config(&authority, &bob));
    let session = other.dial(&address).await.expect("the same authority");
    session.closed().await;
    let line = log.line("connection refused").await;
    assert!(line.contains("401 Unauthorized"), "{line}");
}

/// Dials, and calls if that goes well: what goes wrong is told by the one or the other.
async fn dial_and_call(config: PeerConfig, address: &str) -> String {
    let peer = client(config);
    let called = async {
        let session = peer.dial(address).await?;
        WhoClient::new(&session).certificate().await
    };
    all(&called.await.expect_err("refused"))
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_and_both_sides_are_told_why() {
    let log = Log::start();
    let authority = Authority::new();
    let config = PeerConfig {
        tls_client_ca_file: Some(authority.file()),
        ..server_config(&authority.issue("server"), &[ANY])
    };
    let (server, listening) = listen(config).await;
    let error = dial_and_call(client_config(&authority), &listening.address()).await;
    assert!(
        error.contains("demands a certificate, and this side has shown none: set tls_cert_file"),
        "{error}"
    );
    let line = log.line("connection refused").await;
    assert!(line.contains("shows no certificate"), "{line}");
    assert_eq!(server.session_count(), 0);
}

#[tokio::test]
async fn with_tls_1_2_a_dial_itself_fails_for_lack_of_a_certificate() {
    let authority = Authority::new();
    let config = PeerConfig {
        tls_client_ca_file: Some(authority.file()),
        ..server_config(&authority.issue("server"), &[ANY])
    };
    let (_server, listening) = listen(config).await;
    let old = rustls_client(&authority, &[&rustls::version::TLS12], &[]);
    let options = ConnOptions::new().tls_client_config(old);
    let address = listening.address();
    let error = plain_client().dial_with(&address, options).await;
    let error = all(&error.expect_err("refused"));
    assert!(error.contains("demands a certificate"), "{error}");
}

#[tokio::test]
async fn certificates_of_clients_that_do_not_hold_are_refused_and_both_sides_are_told_why() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let config = PeerConfig {
        tls_client_ca_file: Some(authority.file()),
        ..server_config(&authority.issue("server"), &[ANY])
    };
    let expired = authority.issue_with("expired", |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let for_servers = authority.issue_with("for servers", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    for (identity, told, logged) in [
        (
            stranger.issue("stranger"),
            "must be in its tls_client_ca_file",
            "put the issuer's into tls_client_ca_file",
        ),
        (expired, "is out of date", "has expired"),
        (for_servers, "refuses this side's certificate", "clientAuth"),
    ] {
        let log = Log::start();
        let (_server, listening) = listen(config.clone()).await;
        let client = named_client_config(&authority, &identity);
        let error = dial_and_call(client, &listening.address()).await;
        assert!(error.contains(told), "{error}");
        let line = log.line("connection refused").await;
        assert!(line.contains(logged), "{line}");
    }
}

#[tokio::test]
async fn certificates_of_servers_that_do_not_hold_are_refused_and_both_sides_are_told_why() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.issue_with("expired", |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let early = authority.issue_with("early", |params| {
        params.not_before = date_time_ymd(3001, 1, 1);
    });
    let elsewhere = authority.issue_with("elsewhere", |params| {
        params.subject_alt_names.truncate(1);
    });
    let for_clients = authority.issue_with("for clients", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let of_an_authority = authority.issue_with("of an authority", |params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    for (identity, told, logged) in [
        (
            stranger.issue("server"),
            "put the issuer's into tls_ca_file",
            "must be in its tls_ca_file",
        ),
        (expired, "has expired", "is out of date"),
        (early, "is not valid yet", "is out of date"),
        (
            elsewhere,
            "is for other names: dial one of them",
            "refuses this side's certificate",
        ),
        (for_clients, "serverAuth", "refuses this side's certificate"),
        (
            of_an_authority,
            "basicConstraints CA:TRUE",
            "refuses this side's certificate",
        ),
    ] {
        let log = Log::start();
        let (_server, listening) = listen(server_config(&identity, &[ANY])).await;
        let address = listening.address();
        let error = client(client_config(&authority)).dial(&address).await;
        let error = error.expect_err("refused");
        assert!(error.to_string().contains(&address), "{error}");
        assert!(all(&error).contains(told), "{error:?}");
        let line = log.line("connection refused").await;
        assert!(line.contains(logged), "{line}");
    }
}

#[tokio::test]
async fn an_authority_with_the_name_of_another_is_not_taken_for_it() {
    let log = Log::start();
    let name = "the same";
    let (authority, impostor) = (Authority::named(name), Authority::named(name));
    let (_server, listening) = listen(server_config(&impostor.issue("server"), &[ANY])).await;
    let address = listening.address();
    let error = client(client_config(&authority)).dial(&address).await;
    let error = all(&error.expect_err("refused"));
    assert!(
        error.contains("perhaps another one of that name"),
        "{error}"
    );
    let line = log.line("connection refused").await;
    assert!(line.contains("refuses this side's certificate"), "{line}");
}

#[tokio::test]
async fn the_name_to_expect_can_differ_from_the_dialled_one() {
    let authority = Authority::new();
    let elsewhere = authority.issue_with("server", |params| {
        params.subject_alt_names.truncate(1);
    });
    let (server, listening) = listen(server_config(&elsewhere, &[ANY])).await;
    let trusting = client(client_config(&authority));
    let options = ConnOptions::new().tls_server_name("localhost");
    let session = trusting.dial_with(&listening.address(), options).await;
    let session = session.expect("the name is right");
    assert_eq!(
        session.tls().and_then(TlsInfo::server_name),
        Some("localhost")
    );
    let echo = WhoClient::new(&session).echo(Raw("x".into())).await;
    assert_eq!(echo.expect("an echo").0, "x");
    let accepted = server.sessions().next().expect("one session");
    assert_eq!(
        accepted.tls().and_then(TlsInfo::server_name),
        Some("localhost")
    );
}

#[tokio::test]
async fn plain_text_at_a_tls_port_is_told_to_both_sides() {
    let log = Log::start();
    let authority = Authority::new();
    let (_server, listening) = listen(server_config(&authority.issue("server"), &[ANY])).await;
    let address = listening.address().replace("tls://", "tcp://");
    let error = dial_and_call(PeerConfig::default(), &address).await;
    assert!(
        error.contains("the other side speaks TLS: dial tls://"),
        "{error}"
    );
    let line = log.line("connection refused").await;
    assert!(
        line.contains("the other side does not speak TLS: it must dial tls://"),
        "{line}"
    );
}

/// Says hello in its handshake, and waits for the answer.
struct Hello;

impl Plugin for Hello {
    fn name(&self) -> &str {
        "hello"
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let header = teleport::protocol::Header::default();
        let codec = teleport::protocol::HeaderCodec::Json;
        handshake.send(&header, codec, None, ()).await?;
        handshake.recv().await?;
        Ok(())
    }
}

#[tokio::test]
async fn plain_text_of_a_plugins_handshake_at_a_tls_port_is_told_too() {
    let authority = Authority::new();
    let (_server, listening) = listen(server_config(&authority.issue("server"), &[ANY])).await;
    let address = listening.address().replace("tls://", "tcp://");
    let client = Peer::builder().plugin(Hello).build().expect("a peer");
    let error = client.dial(&address).await.expect_err("no answer");
    assert!(
        all(&error).contains("the other side speaks TLS"),
        "{error:?}"
    );
}

const HELLO_LOGGED: &str =
    "the other side speaks TLS, and here is none: it must dial tcp://host:port";

#[tokio::test]
async fn tls_at_a_plain_port_is_told_to_both_sides() {
    let log = Log::start();
    let (_server, listening) = listen(plain_config()).await;
    let address = format!("tls://{}", listening.address());
    let error = client(client_config(&Authority::new()))
        .dial(&address)
        .await;
    let error = all(&error.expect_err("no TLS there"));
    assert!(
        error.contains("as one does that speaks no TLS: if so, dial tcp://"),
        "{error}"
    );
    let line = log.line("session closed").await;
    assert!(line.contains(HELLO_LOGGED), "{line}");
}

#[tokio::test(start_paused = true)]
async fn tls_at_a_plain_port_is_told_even_where_it_could_be_the_start_of_a_packet() {
    let log = Log::start();
    let mut config = plain_config();
    config.limits.packet = 1 << 30;
    let (_server, listening) = listen(config).await;
    let address = format!("tls://{}", listening.address());
    let error = client(client_config(&Authority::new()))
        .dial(&address)
        .await;
    assert!(error.expect_err("no answer").is_timeout());
    let line = log.line("session closed").await;
    assert!(line.contains(HELLO_LOGGED), "{line}");
}

#[tokio::test]
async fn an_answer_in_plain_text_to_a_tls_dial_is_told() {
    let authority = Authority::new();
    let listener = TcpListener::bind(ANY).await.expect("a port");
    let address = format!("tls://{}", listener.local_addr().expect("an address"));
    let other = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(answer).await.expect("written");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
    });
    let error = client(client_config(&authority)).dial(&address).await;
    let error = all(&error.expect_err("no TLS there"));
    assert!(
        error.contains("the other side does not speak TLS: dial tcp://"),
        "{error}"
    );
    other.await.expect("no panic");
}

/// Reads to the end, which the other side makes.
async fn read_to_end(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await?;
    Ok(read)
}

#[tokio::test]
async fn the_alert_is_not_lost_on_a_client_that_goes_on_sending() {
    let authority = Authority::new();
    let (_server, listening) = listen(server_config(&authority.issue("server"), &[ANY])).await;
    let address = listening.addrs()[0].socket_addr().expect("TCP");
    let mut plain = TcpStream::connect(address).await.expect("connected");
    plain.write_all(&[0; 50_000]).await.expect("sent");
    let said = read_to_end(&mut plain).await.expect("no reset");
    assert_eq!(said.first(), Some(&21), "an alert: {said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_dropped_after_the_accept_timeout() {
    let log = Log::start();
    let authority = Authority::new();
    let config = PeerConfig {
        accept_timeout: Some(Duration::from_secs(7)),
        ..server_config(&authority.issue("server"), &[ANY])
    };
    let (server, listening) = listen(config).await;
    let address = listening.addrs()[0].socket_addr().expect("TCP");
    let mut silent = TcpStream::connect(address).await.expect("connected");
    let begin = tokio::time::Instant::now();
    // Nothing else can happen but that the time passes.
    assert_eq!(read_to_end(&mut silent).await.expect("the end"), b"");
    assert!(begin.elapsed() >= Duration::from_secs(7));
    let line = log.line("connection refused").await;
    assert!(line.contains("accept") && line.contains("7s"), "{line}");
    assert_eq!(server.session_count(), 0);
}

#[tokio::test]
async fn clients_that_say_nothing_or_half_a_word_keep_nobody_waiting() {
    let authority = Authority::new();
    let config = PeerConfig {
        accept_timeout: None,
        ..server_config(&authority.issue("server"), &[ANY])
    };
    let (_server, listening) = listen(config).await;
    let address = listening.addrs()[0].socket_addr().expect("TCP");
    let mut half_open = Vec::new();
    for said in [&b""[..], &[22, 3, 1], &[22, 3, 1, 2, 0, 1, 0, 1]] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(said).await.expect("said");
        half_open.push(stream);
    }
    let trusting = client(client_config(&authority));
    let session = trusting.dial(&listening.address()).await.expect("served");
    let echo = WhoClient::new(&session).echo(Raw("x".into())).await;
    assert_eq!(echo.expect("an echo").0, "x");
}

#[tokio::test(start_paused = true)]
async fn the_handshake_counts_to_the_dial_timeout() {
    let authority = Authority::new();
    let silent = TcpListener::bind(ANY).await.expect("a port");
    let address = format!("tls://{}", silent.local_addr().expect("an address"));
    let config = PeerConfig {
        dial_timeout: Some(Duration::from_secs(3)),
        ..client_config(&authority)
    };
    let begin = tokio::time::Instant::now();
    let error = client(config).dial(&address).await.expect_err("silence");
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(begin.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn new_certificates_are_for_new_sessions_and_old_sessions_stay() {
    let authority = Authority::new();
    let first = authority.issue("server");
    let (server, listening) = listen(server_config(&first, &[ANY])).await;
    let address = listening.address();
    let trusting = client(client_config(&authority));
    let dial = |id: &'static str| {
        let options = ConnOptions::new().id(id);
        let dial = trusting.dial_with(&address, options);
        async move { dial.await.expect("trusted") }
    };
    let shown = |session: &teleport::Session| {
        let tls = session.tls().expect("TLS");
        tls.peer_certificate().expect("a server has one").to_vec()
    };

    let old = dial("old").await;
    assert_eq!(shown(&old), first.der);
    let second = authority.issue("server");
    assert_ne!(first.der, second.der);
    assert_eq!(shown(&dial("before").await), first.der);
    server.reload_tls().expect("good files");
    assert_eq!(shown(&dial("after").await), second.der);

    fs::write(&second.cert, "no certificate").expect("written");
    let error = server.reload_tls().expect_err("a bad file");
    assert!(error.to_string().contains("reload"), "{error}");
    let error = all(&error);
    assert!(error.contains("tls_cert_file"), "{error}");
    assert!(error.contains(&*second.cert.to_string_lossy()), "{error}");
    assert_eq!(shown(&dial("later").await), second.der);

    let echo = WhoClient::new(&old).echo(Raw("still here".into())).await;
    assert_eq!(echo.expect("an echo").0, "still here");
    assert_eq!(shown(&old), first.der);
}

#[tokio::test]
async fn a_reload_also_changes_whom_a_client_trusts() {
    let (old, new) = (Authority::new(), Authority::new());
    let (_server, listening) = listen(server_config(&new.issue("server"), &[ANY])).await;
    let client = client(client_config(&old));
    let address = listening.address();
    client.dial(&address).await.expect_err("not trusted yet");
    fs::copy(new.file(), old.file()).expect("copied");
    client.dial(&address).await.expect_err("not read yet");
    client.reload_tls().expect("a good file");
    client.dial(&address).await.expect("trusted");
}

#[test]
fn files_that_cannot_be_used_are_errors_of_the_build_that_name_them() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    let missing = authority.path("missing.pem");
    let empty = authority.path("empty.pem");
    fs::write(&empty, "").expect("written");
    let with = |cert: &Path, key: &Path| PeerConfig {
        tls_cert_file: Some(cert.into()),
        tls_key_file: Some(key.into()),
        ..PeerConfig::default()
    };
    let ca = |file: &Path| PeerConfig {
        tls_ca_file: Some(file.into()),
        ..PeerConfig::default()
    };
    let cases: [(PeerConfig, &str, &Path, &str); 9] = [
        (
            with(&missing, &one.key),
            "tls_cert_file",
            &missing,
            "cannot be read",
        ),
        (
            with(&one.cert, &missing),
            "tls_key_file",
            &missing,
            "cannot be read",
        ),
        (
            with(&empty, &one.key),
            "tls_cert_file",
            &empty,
            "no certificate",
        ),
        (
            with(&one.cert, &one.cert),
            "tls_key_file",
            &one.cert,
            "no private key",
        ),
        (
            with(&one.cert, &other.key),
            "tls_key_file",
            &other.key,
            "is not the key of the first certificate",
        ),
        (ca(&missing), "tls_ca_file", &missing, "cannot be read"),
        (ca(&empty), "tls_ca_file", &empty, "no certificate"),
        (
            PeerConfig {
                tls_key_file: None,
                ..with(&one.cert, &one.key)
            },
            "tls_cert_file",
            &one.cert,
            "needs `tls_key_file`",
        ),
        (
            PeerConfig {
                tls_client_ca_file: Some(authority.file()),
                ..PeerConfig::default()
            },
            "tls_client_ca_file",
            &authority.file(),
            "needs `tls_cert_file`",
        ),
    ];
    for (config, field, path, problem) in cases {
        let error = Peer::builder().config(config).build();
        let error = all(&error.expect_err(problem));
        let file = format!("`{field}` is {path:?}");
        assert!(error.contains(&file), "{file}: {error}");
        assert!(error.contains(problem), "{problem}: {error}");
    }
}

#[test]
fn an_empty_path_counts_as_none() {
    let config = PeerConfig {
        tls_cert_file: Some("".into()),
        tls_key_file: Some("".into()),
        tls_client_ca_file: Some("".into()),
        tls_ca_file: Some("".into()),
        ..PeerConfig::default()
    };
    Peer::builder().config(config).build().expect("no TLS");
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn rustls_client(
    authority: &Authority,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_file(authority.file()).expect("PEM");
    roots.add(root).expect("a certificate");
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn rustls_server(identity: &Identity, alpn: &[&[u8]]) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

    let key = PrivateKeyDer::from_pem_file(&identity.key).expect("PEM");
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.der.clone().into()], key)
        .expect("a certificate");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

#[tokio::test]
async fn ready_configurations_are_used_as_they_are() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let server = Peer::builder()
        .listen_at(ANY)
        .routes(Who.into_router())
        .tls_server_config(rustls_server(&identity, &[b"teleport"]))
        .build()
        .expect("a peer");
    let listening = server.listen().await.expect("a port");
    let address = listening.addrs()[0].socket_addr().expect("TCP").to_string();

    let offers = rustls_client(&authority, rustls::ALL_VERSIONS, &[b"other", b"teleport"]);
    let client = Peer::builder().tls_client_config(offers).build();
    let session = client.expect("a peer").dial(&address).await;
    let session = session.expect("both speak teleport");
    let tls = session.tls().expect("a ready configuration means TLS");
    assert_eq!(tls.alpn(), Some(&b"teleport"[..]));
    assert_eq!(tls.peer_certificate(), Some(&*identity.der));
    server.reload_tls().expect("nothing to read");

    // For one dial, on a peer that knows no TLS otherwise.
    let foreign = rustls_client(&authority, rustls::ALL_VERSIONS, &[b"h2"]);
    let options = ConnOptions::new().tls_client_config(foreign);
    let error = plain_client().dial_with(&address, options).await;
    let error = all(&error.expect_err("h2 only"));
    assert!(error.contains("ALPN"), "{error}");
}

#[test]
fn files_without_effect_beside_ready_configurations_are_errors() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let server = rustls_server(&identity, &[]);
    let client = rustls_client(&authority, rustls::ALL_VERSIONS, &[]);

    let config = PeerConfig {
        tls_client_ca_file: Some(authority.file()),
        ..server_config(&identity, &[])
    };
    let error = Peer::builder()
        .config(config)
        .tls_server_config(Arc::clone(&server))
        .build();
    let error = all(&error.expect_err("it would let everybody in"));
    assert!(error.contains("tls_client_ca_file"), "{error}");

    let error = Peer::builder()
        .config(server_config(&identity, &[]))
        .tls_server_config(server)
        .build();
    let error = all(&error.expect_err("which certificate?"));
    assert!(error.contains("tls_cert_file"), "{error}");

    let error = Peer::builder()
        .config(client_config(&authority))
        .tls_client_config(client)
        .build();
    let error = all(&error.expect_err("whom to trust?"));
    assert!(error.contains("tls_ca_file"), "{error}");
}
