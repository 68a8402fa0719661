//! [`hang_up`].

use std::{io, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The other side has so long to read why.
const LINGER: Duration = Duration::from_secs(1);

/// Ends a connection whose last packet says why it ends. Closed while more comes in it would be reset, and the other side might
/// never read that packet.
pub(crate) async fn hang_up(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let drained = async {
        let mut waste = [0; 1024];
        io.shutdown().await?;
        while io.read(&mut waste).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever comes of it, the connection is over.
    let _ = tokio::time::timeout(LINGER, drained).await;
}
