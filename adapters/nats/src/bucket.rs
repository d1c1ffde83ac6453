//! The bucket of leases.

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode, kv};
use bonito_core::ClusterError;

use crate::NatsOptions;

/// Finds the bucket, or makes it. Several processes may make it at a time: the broker takes the same wish twice.
pub(crate) async fn bucket(jetstream: &Context, options: &NatsOptions) -> Result<kv::Store, ClusterError> {
    let name = &options.bucket;
    let stream = format!("KV_{name}");
    match jetstream.get_stream(&stream).await {
        Ok(_) => {}
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                make(jetstream, stream, options).await?;
            }
            GetStreamErrorKind::JetStream(cause) if is_off(cause.error_code()) => {
                return Err(off().with_source(error));
            }
            _ => return Err(unreachable().with_source(error)),
        },
    }
    let bucket = jetstream.get_key_value(name).await.map_err(|error| unreachable().with_source(error))?;
    let has = bucket.stream.cached_info().config.max_age;
    if has.is_zero() || has < options.lease {
        return Err(ClusterError::refused(format!(
            "expected the NATS bucket {name:?} to keep leases for {:?}, and its max_age is {has:?}: delete it while no \
             process runs, or name another",
            options.lease
        )));
    }
    if has > options.lease {
        let asked = options.lease;
        tracing::warn!(
            bucket = name,
            ?has,
            ?asked,
            "leases live longer than asked for: the bucket was there"
        );
    }
    Ok(bucket)
}

/// A key-value bucket is a stream of this form. It is made here, since the client's own call wants an answer about the account
/// that older brokers do not give.
async fn make(jetstream: &Context, stream: String, options: &NatsOptions) -> Result<(), ClusterError> {
    let config = Config {
        name: stream,
        description: Some("leases of bonito".to_owned()),
        subjects: vec![format!("$KV.{}.>", options.bucket)],
        max_messages_per_subject: 1,
        max_age: options.lease,
        storage: StorageType::File,
        num_replicas: options.replicas,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        // Reads are of the leader alone.
        allow_direct: false,
        ..Config::default()
    };
    match jetstream.create_stream(config).await {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            CreateStreamErrorKind::JetStream(cause) if is_off(cause.error_code()) => off(),
            CreateStreamErrorKind::JetStream(_) => ClusterError::refused(format!(
                "the NATS broker makes no bucket {:?} with {} replicas and leases of {:?}: it needs as many brokers",
                options.bucket, options.replicas, options.lease
            )),
            _ => unreachable(),
        }
        .with_source(error)),
    }
}

fn is_off(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT)
}

fn off() -> ClusterError {
    ClusterError::refused("the NATS broker has JetStream off: start nats-server with --jetstream")
}

fn unreachable() -> ClusterError {
    ClusterError::unreachable("the NATS broker does not answer for JetStream")
}
