//! The code that `build.rs` makes from `proto/control.proto`.
#![expect(
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    missing_docs,
    unused_qualifications,
    reason = "generated code; its documentation is the .proto file"
)]

tonic::include_proto!("gameserver.v1");
