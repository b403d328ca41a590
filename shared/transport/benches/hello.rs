//! What it costs to write and to read a Hello with a join ticket in it.

use criterion::{Criterion, criterion_group, criterion_main};
use gameserver_contract::ids::{InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId};
use gameserver_contract::session::Role;
use gameserver_contract::ticket::{JoinTicket, TICKET_VERSION, TicketSigner};
use gameserver_transport::frame::{Credential, FrameError, Hello, Mode};
use uuid::Uuid;

const NOW_MS: i64 = 1_700_000_000_000;

fn hello() -> Hello {
    let ticket = JoinTicket {
        version: TICKET_VERSION,
        id: [7; 16],
        player: PlayerId(Uuid::from_u128(1)),
        display_name: "a name of 20 letters".to_owned(),
        session: SessionId(Uuid::from_u128(2)),
        match_id: MatchId(Uuid::from_u128(3)),
        seat: Some(Seat(400)),
        role: Role::Player,
        watch: None,
        instance: InstanceId(Uuid::from_u128(4)),
        epoch: InstanceEpoch(6),
        issued_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 10_000,
    };
    let text = TicketSigner::from_seed(&[3; 32]).sign(&ticket);
    Hello::new(Mode::Native, Credential::Ticket(text), "a client 1.0").with_fingerprint(u64::MAX)
}

/// `cargo xtask bench --counts` counts what is done in functions whose names begin like this.
#[inline(never)]
fn measured_encode(hello: &Hello) -> Result<Vec<u8>, FrameError> {
    hello.encode()
}

#[inline(never)]
fn measured_decode(bytes: &[u8]) -> Result<Hello, FrameError> {
    Hello::decode(bytes)
}

fn hellos(criterion: &mut Criterion) {
    let hello = hello();
    let bytes = measured_encode(&hello).expect("texts within their limits");
    assert_eq!(measured_decode(&bytes).as_ref(), Ok(&hello));
    criterion.bench_function("hello encode", |bencher| {
        bencher.iter(|| measured_encode(&hello));
    });
    criterion.bench_function("hello decode", |bencher| {
        bencher.iter(|| measured_decode(&bytes));
    });
}

criterion_group!(benches, hellos);
criterion_main!(benches);
