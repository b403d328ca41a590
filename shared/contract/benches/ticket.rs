//! What it costs an instance to verify a join ticket, and web-api to sign one.

use criterion::{Criterion, criterion_group, criterion_main};
use gameserver_contract::ids::{InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId};
use gameserver_contract::session::Role;
use gameserver_contract::ticket::{
    JoinTicket, TICKET_VERSION, TicketError, TicketSigner, TicketVerifier,
};
use uuid::Uuid;

const NOW_MS: i64 = 1_700_000_000_000;

fn ticket() -> JoinTicket {
    // Random ids are as long as these.
    let id = |number: u128| Uuid::from_u128(number << 64 | 0x9e37_79b9_7f4a_7c15);
    JoinTicket {
        version: TICKET_VERSION,
        id: [7; 16],
        player: PlayerId(id(1)),
        display_name: "a name of 20 letters".to_owned(),
        session: SessionId(id(2)),
        match_id: MatchId(id(3)),
        seat: Some(Seat(400)),
        role: Role::Player,
        watch: None,
        instance: InstanceId(id(4)),
        epoch: InstanceEpoch(6),
        issued_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 10_000,
    }
}

/// `cargo xtask bench --counts` counts what is done in functions whose names begin like this.
#[inline(never)]
fn measured_verify(verifier: &TicketVerifier, text: &str) -> Result<JoinTicket, TicketError> {
    verifier.verify(text, NOW_MS)
}

#[inline(never)]
fn measured_sign(signer: &TicketSigner, ticket: &JoinTicket) -> String {
    signer.sign(ticket)
}

fn tickets(criterion: &mut Criterion) {
    let (signer, ticket) = (TicketSigner::from_seed(&[3; 32]), ticket());
    let keys = [signer.public_key()];
    let verifier = TicketVerifier::new(&keys, ticket.instance, ticket.epoch).expect("a key");
    let text = signer.sign(&ticket);
    assert_eq!(measured_verify(&verifier, &text).as_ref(), Ok(&ticket));
    criterion.bench_function("ticket verify", |bencher| {
        bencher.iter(|| measured_verify(&verifier, &text));
    });
    criterion.bench_function("ticket sign", |bencher| {
        bencher.iter(|| measured_sign(&signer, &ticket));
    });
}

criterion_group!(benches, tickets);
criterion_main!(benches);
