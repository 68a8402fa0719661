//! How sockets get from one process to the next: over a pair of Unix sockets, of which the new process has one end as its
//! standard input.
//!
//! ```text
//! old -> new   "teleport sockets 1\n", a JSON array of [address as configured, whether to remove its file], "\n";
//!              with as many file descriptors beside it. It is there before the new process starts.
//! new -> old   "ready\n": all is open
//! old -> new   "ready\n": heard, take connections; or the end of the stream if the old process is gone
//! ```
//!
//! Descriptors that travel so need no number agreed on, no variable in the environment, and never lose their close-on-exec.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use rustix::{
    io::FdFlags,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    },
};

use super::{Inherited, Listener};

/// By this the new process knows what its standard input is.
const MAGIC: &[u8; 19] = b"teleport sockets 1\n";
/// Said by the new process, and repeated by the old one.
pub(crate) const READY: &[u8; 6] = b"ready\n";
/// More descriptors do not fit into one message on Linux.
const MOST: usize = 253;

/// A socket for the next process.
pub(crate) struct Socket {
    /// The address as the configuration has it.
    pub(crate) asked: String,
    pub(crate) fd: OwnedFd,
    /// Of a Unix socket: its file goes when it is closed.
    pub(crate) removes_file: bool,
}

/// Puts sockets into one end of a pair.
pub(crate) fn give(channel: &UnixStream, sockets: &[Socket]) -> io::Result<()> {
    let fds: Vec<BorrowedFd<'_>> = sockets.iter().map(|socket| socket.fd.as_fd()).collect();
    if fds.len() > MOST {
        let text = format!(
            "{} sockets are too many to hand over, {MOST} are the most",
            fds.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let rights = SendAncillaryMessage::ScmRights(&fds);
    let mut space = vec![MaybeUninit::uninit(); rights.size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(rights);

    let mut data = MAGIC.to_vec();
    let texts = sockets
        .iter()
        .map(|socket| (&socket.asked, socket.removes_file));
    serde_json::to_writer(&mut data, &texts.collect::<Vec<_>>())?;
    data.push(b'\n');
    let sent = rustix::net::sendmsg(
        channel,
        &[IoSlice::new(&data)],
        &mut control,
        SendFlags::empty(),
    )?;
    let mut channel = channel;
    channel.write_all(data.get(sent..).unwrap_or_default())
}

/// Takes what the process before this one has put into standard input, which is `/dev/null` from then on: children of this
/// process inherit it. Reads nothing of any other standard input.
pub(super) fn take() -> io::Result<Option<(UnixStream, Vec<Inherited>)>> {
    let stdin = rustix::stdio::stdin();
    let is_unix = rustix::net::getsockname(stdin)
        .is_ok_and(|addr| addr.address_family() == AddressFamily::UNIX);
    let mut first = [0; MAGIC.len()];
    if !is_unix
        || rustix::net::recv(stdin, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT).is_err()
        || first != *MAGIC
    {
        return Ok(None);
    }
    let channel = UnixStream::from(stdin.try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let sockets = receive(&channel)?;
    Ok(Some((channel, sockets)))
}

fn receive(channel: &UnixStream) -> io::Result<Vec<Inherited>> {
    let broken = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let (mut data, mut fds) = (Vec::new(), Vec::new());
    while data.len() <= MAGIC.len() || !data.ends_with(b"\n") {
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut chunk = [0; 4096];
        let read = rustix::net::recvmsg(
            channel,
            &mut [IoSliceMut::new(&mut chunk)],
            &mut control,
            CLOEXEC,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                fds.extend(more);
            }
        }
        if read.bytes == 0 || read.flags.contains(ReturnFlags::CTRUNC) {
            return Err(broken(
                "not all sockets came; is there a limit on open files?",
            ));
        }
        data.extend_from_slice(chunk.get(..read.bytes).unwrap_or_default());
    }
    let texts = data.get(MAGIC.len()..).unwrap_or_default();
    let texts: Vec<(String, bool)> = serde_json::from_slice(texts)?;
    if texts.len() != fds.len() {
        return Err(broken("as many sockets must come as are announced"));
    }
    let sockets = texts.into_iter().zip(fds);
    sockets
        .map(|((asked, removes), fd)| inherited(asked, removes, fd))
        .collect()
}

/// Not in one go with the receiving everywhere, so it is done again below.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOEXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOEXEC: RecvFlags = RecvFlags::empty();

fn inherited(asked: String, removes: bool, fd: OwnedFd) -> io::Result<Inherited> {
    rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    let family = rustix::net::getsockname(&fd)?.address_family();
    let listener = if family == AddressFamily::UNIX {
        Listener::Unix(UnixListener::from(fd), removes)
    } else {
        Listener::Tcp(fd.into())
    };
    Ok(Inherited {
        asked: Some(asked),
        listener,
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_arrive_with_their_addresses_and_close_on_exec() {
        let (old, new) = UnixStream::pair().unwrap();
        let listeners: Vec<_> = (0..100)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let sockets: Vec<_> = listeners
            .iter()
            .map(|listener| Socket {
                asked: format!("an \"odd\"\naddress of {}", "some length ".repeat(10)),
                fd: listener.as_fd().try_clone_to_owned().unwrap(),
                removes_file: false,
            })
            .collect();
        give(&old, &sockets).unwrap();
        let received = receive(&new).unwrap();
        assert_eq!(received.len(), listeners.len());
        for ((given, socket), taken) in listeners.iter().zip(&sockets).zip(received) {
            assert_eq!(taken.asked.as_deref(), Some(&*socket.asked));
            let Listener::Tcp(taken) = taken.listener else {
                panic!("TCP")
            };
            assert_eq!(taken.local_addr().unwrap(), given.local_addr().unwrap());
            let flags = rustix::io::fcntl_getfd(&taken).unwrap();
            assert!(flags.contains(FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn too_many_sockets_and_a_sender_that_dies_are_errors() {
        let (old, new) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets: Vec<_> = (0..=MOST)
            .map(|_| Socket {
                asked: String::new(),
                fd: listener.as_fd().try_clone_to_owned().unwrap(),
                removes_file: false,
            })
            .collect();
        let error = give(&old, &sockets).unwrap_err();
        assert!(error.to_string().contains("253"), "{error}");
        (&old).write_all(MAGIC).unwrap();
        drop(old);
        assert!(receive(&new).is_err());
    }
}
