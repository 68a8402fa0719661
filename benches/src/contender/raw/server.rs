//! The server answers in the reader, and writes all replies of one read at once.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Result, bail};
use bytes::{Buf as _, BytesMut};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{ADD, ECHO, NOTE, READ_MAX, READ_MIN};
use crate::frame::{self, Frame, Header, Kind, Parsed};
use crate::message::Pair;
use crate::usage::NOTES;

/// Bodies of this size are not copied into the reply buffer, but written from the read buffer.
const LARGE: usize = 64 * 1024;

/// Accepts for ever.
pub async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A session ends when its client goes away; there is nobody to tell.
        tokio::spawn(async move { session(stream).await.ok() });
    }
}

async fn session(mut stream: TcpStream) -> Result<()> {
    let mut buffer = BytesMut::new();
    let mut replies = Vec::new();
    let mut chunk = READ_MIN;
    let mut need = 0;
    loop {
        buffer.reserve(chunk.max(need));
        let space = buffer.capacity() - buffer.len();
        let read = stream.read_buf(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if read == space && chunk < READ_MAX {
            chunk *= 2;
        }
        need = loop {
            match frame::parse(&buffer)? {
                Parsed::Frame(frame) => {
                    if frame.body.len() >= LARGE && frame.header.uri == ECHO {
                        frame::encode_before(&mut replies, reply(&frame), frame.body.len());
                        stream.write_all(&replies).await?;
                        replies.clear();
                        stream.write_all(frame.body).await?;
                    } else {
                        answer(&frame, &mut replies)?;
                    }
                    let end = frame.end;
                    buffer.advance(end);
                }
                Parsed::Need(bytes) => break bytes.saturating_sub(buffer.len()),
            }
        };
        if !replies.is_empty() {
            stream.write_all(&replies).await?;
            replies.clear();
        }
    }
}

fn answer(frame: &Frame<'_>, replies: &mut Vec<u8>) -> Result<()> {
    match (frame.header.kind, frame.header.uri) {
        (Kind::Pull, ADD) => {
            let answer = Pair::decode(frame.body)?.answer();
            frame::encode(replies, reply(frame), |out| answer.encode_raw(out));
        }
        (Kind::Pull, ECHO) => {
            frame::encode(replies, reply(frame), |out| {
                out.extend_from_slice(frame.body)
            });
        }
        (Kind::Push, NOTE) => {
            Pair::decode(frame.body)?;
            NOTES.fetch_add(1, Relaxed);
        }
        (kind, uri) => bail!("no {kind:?} route {}", String::from_utf8_lossy(uri)),
    }
    Ok(())
}

fn reply<'a>(frame: &Frame<'a>) -> Header<'a> {
    Header {
        kind: Kind::Reply,
        status: 200,
        ..frame.header
    }
}
