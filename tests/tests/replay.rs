//! Every recorded conversation with a Go peer is played against ours, as server and as client.
//!
//! What is compared: each packet that ours sends, against the recorded one. Byte for byte where the encoding is
//! deterministic; where the body is compressed or holds the time of day, after decoding. Then whether the
//! connection stays open.
//!
//! Where ours does better on purpose, `BETTER` in `replay/server.rs` says what it sends instead, and why; so do the special
//! cases in `replay/client.rs`.

mod replay {
    pub(crate) mod client;
    pub(crate) mod compare;
    pub(crate) mod server;
}

use replay::{client, server};
use teleport_tests::recording::{Transcript, Transcripts, load};

fn transcripts(role: &str) -> Vec<Transcript> {
    let all: Transcripts = load("transcripts.json");
    assert_eq!(all.transcripts.len(), 58);
    let played =
        |transcript: &Transcript| transcript.play_as == role || transcript.play_as == "both";
    all.transcripts.into_iter().filter(played).collect()
}

#[tokio::test(start_paused = true)]
async fn our_server_answers_as_a_go_server_does_or_better() {
    let mut played = 0;
    for transcript in transcripts("server") {
        server::play(&transcript, server::Pieces::Whole).await;
        played += 1;
    }
    assert_eq!(played, 52);
}

#[tokio::test(start_paused = true)]
async fn the_answers_are_the_same_when_the_bytes_come_one_by_one() {
    for transcript in transcripts("server") {
        server::play(&transcript, server::Pieces::Bytes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn our_client_asks_as_a_go_client_does_and_sees_the_same_results() {
    let mut played = 0;
    for transcript in transcripts("client") {
        client::play(&transcript).await;
        played += 1;
    }
    assert_eq!(played, 37);
}
