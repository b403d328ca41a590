//! Hands finished matches in, again and again until web-api has taken them.

use std::sync::Arc;
use std::time::Duration;

use gameserver_control::ResultReport;
use gameserver_control::result_signature;
use tokio::sync::mpsc;
use tonic::Code;

use super::Registry;
use crate::host::{FinishedMatch, MatchDirectory};
use crate::telemetry;

const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Runs until the matches' end of the queue is dropped and every result is handed in.
pub async fn run(
    mut finished: mpsc::Receiver<FinishedMatch>,
    registry: Registry,
    directory: Arc<MatchDirectory>,
) {
    while let Some(next) = finished.recv().await {
        telemetry::queue_holds("results", finished.len() + 1);
        let id = next.result.match_id;
        hand_in(&next, registry.clone()).await;
        directory.remove(id);
        telemetry::queue_holds("results", finished.len());
    }
}

async fn hand_in(finished: &FinishedMatch, mut registry: Registry) {
    let id = finished.result.match_id;
    let Some(report) = report(finished) else {
        return;
    };
    let mut retry = RETRY_FIRST;
    loop {
        match registry.report_result(report.clone()).await {
            Ok(_) => return,
            Err(status) if is_final(status.code()) => {
                tracing::error!(match.id = %id, %status, "result refused for good");
                return;
            }
            Err(status) => {
                tracing::warn!(match.id = %id, %status, "result not handed in yet");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_LONGEST);
            }
        }
    }
}

fn report(finished: &FinishedMatch) -> Option<ResultReport> {
    let id = finished.result.match_id;
    match rmp_serde::to_vec(&finished.result) {
        Ok(result) => {
            let signature = result_signature::sign(&finished.result_key, &result).to_vec();
            Some(ResultReport {
                match_id: id.to_string(),
                result,
                signature,
            })
        }
        Err(error) => {
            tracing::error!(
                match.id = %id, error = &error as &dyn std::error::Error,
                "result cannot be encoded"
            );
            None
        }
    }
}

/// What no repetition changes.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument | Code::NotFound | Code::PermissionDenied
    )
}
