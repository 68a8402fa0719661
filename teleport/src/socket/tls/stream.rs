//! A TCP connection under TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{ClientConfig, CommonState, ServerConfig, pki_types::ServerName},
};

use super::{TlsError, TlsInfo, explain::Role};

/// A byte stream whose handshake is done. Its errors are explained.
#[derive(Debug)]
pub(crate) struct TlsStream(Box<tokio_rustls::TlsStream<TcpStream>>);

/// The handshake of a listener. No time limit of its own. If it fails the connection is given back, to
/// hang up on.
pub(crate) async fn accept(
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> Result<(TlsStream, TlsInfo), (TlsError, TcpStream)> {
    let handshake = TlsAcceptor::from(config).accept(stream).into_fallible();
    let stream = handshake
        .await
        .map_err(|(error, stream)| (TlsError::handshake(Role::Server, error), stream))?;
    let (_, connection) = stream.get_ref();
    let name = connection.server_name().map(str::to_owned);
    let info = info(connection, name);
    Ok((TlsStream(Box::new(stream.into())), info))
}

/// The handshake of a dial. No time limit of its own.
pub(crate) async fn connect(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: TcpStream,
) -> Result<(TlsStream, TlsInfo), TlsError> {
    let text = name.to_str().into_owned();
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| TlsError::handshake(Role::Client, error))?;
    let info = info(stream.get_ref().1, Some(text));
    Ok((TlsStream(Box::new(stream.into())), info))
}

fn info(connection: &CommonState, server_name: Option<String>) -> TlsInfo {
    let chain = connection.peer_certificates().unwrap_or_default();
    TlsInfo {
        peer_chain: chain.iter().map(|der| der.to_vec()).collect(),
        server_name,
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
    }
}

impl TlsStream {
    fn explained<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        result.map_err(|error| {
            let role = match &*self.0 {
                tokio_rustls::TlsStream::Client(_) => Role::Client,
                tokio_rustls::TlsStream::Server(_) => Role::Server,
            };
            TlsError::stream(role, error)
        })
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.0).poll_read(cx, buf);
        self.explained(result)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.0).poll_write(cx, buf);
        self.explained(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.0).poll_write_vectored(cx, bufs);
        self.explained(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.0).poll_flush(cx);
        self.explained(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.0).poll_shutdown(cx);
        self.explained(result)
    }
}
