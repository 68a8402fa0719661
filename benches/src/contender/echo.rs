//! The floor below the bar: the bytes of the raw contender's frames, copied back without a look at them.
//!
//! The client counts bytes; as they return in order, a frame's latency is known all the same.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream};

use crate::frame::{self, Header, Kind};
use crate::message::Pair;
use crate::recorder::Recorder;

const CHUNK: usize = 256 * 1024;

/// Accepts for ever.
pub async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut buffer = vec![0; CHUNK];
            loop {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Ok::<_, std::io::Error>(());
                }
                stream.write_all(&buffer[..read]).await?;
            }
        });
    }
}

/// The frame of the small call, or one with a body of `payload` bytes.
fn template(payload: usize) -> Vec<u8> {
    let header = Header {
        seq: 1 << 32,
        kind: Kind::Pull,
        uri: b"/bench/add",
        status: 0,
    };
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, header, |out| match payload {
        0 => Pair {
            a: 30_000,
            b: 12_345,
        }
        .encode_raw(out),
        len => out.resize(out.len() + len, b'x'),
    });
    bytes
}

/// Keeps `in_flight` frames under way on a session of its own, for ever.
pub async fn drive(
    addr: SocketAddr,
    in_flight: usize,
    payload: usize,
    recorder: Arc<Recorder>,
) -> Result<()> {
    let frame = template(payload);
    let copies = (CHUNK / frame.len()).max(1);
    let block = frame.repeat(copies);
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; CHUNK];
    let mut sent_at = VecDeque::from(vec![Instant::now(); in_flight]);
    // Bytes to write, and how far into the current frame writing and reading are.
    let mut to_write = in_flight * frame.len();
    let (mut written_part, mut read_part) = (0, 0);
    loop {
        while to_write > 0 {
            let len = to_write.min(block.len() - written_part);
            match stream.try_write(&block[written_part..written_part + len]) {
                Ok(written) => {
                    to_write -= written;
                    written_part = (written_part + written) % frame.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        match stream.try_read(&mut buffer) {
            Ok(read) => {
                ensure!(read > 0, "the server went away");
                let frames = (read_part + read) / frame.len();
                read_part = (read_part + read) % frame.len();
                to_write += frames * frame.len();
                let now = Instant::now();
                for sent in sent_at.drain(..frames) {
                    recorder.add(now - sent);
                }
                sent_at.extend(std::iter::repeat_n(now, frames));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut interest = Interest::READABLE;
                if to_write > 0 {
                    interest |= Interest::WRITABLE;
                }
                stream.ready(interest).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
