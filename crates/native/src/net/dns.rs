//! TXT lookups. The operating system's own calls know addresses only.

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError as DnsError;
use hickory_resolver::proto::rr::RData;
use rookery_pds::ports::NetError;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Whole time of a lookup, whatever the system's configuration allows.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Records of a name that are looked at; each has at most 64 KiB by the form of a DNS message.
const MAX_RECORDS: usize = 64;

/// A resolver with the system's configuration, made when first asked.
#[derive(Default)]
pub(super) struct Dns(OnceCell<TokioResolver>);

impl Dns {
    pub(super) async fn txt(&self, name: String) -> Result<Vec<String>, NetError> {
        let failed = |error: DnsError| NetError::Unreachable(name.clone(), error.to_string());
        let resolver = self
            .0
            .get_or_try_init(|| async { TokioResolver::builder_tokio()?.build() })
            .await
            .map_err(failed)?;
        // With the final dot the system's search domains stay out of it.
        let full = format!("{}.", name.trim_end_matches('.'));
        let answer = match timeout(TIMEOUT, resolver.txt_lookup(full)).await {
            Err(_) => return Err(NetError::Timeout(name)),
            Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => return Ok(Vec::new()),
            Ok(answer) => answer.map_err(failed)?,
        };
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => String::from_utf8(txt.txt_data.concat()).ok(),
            _ => None,
        });
        Ok(records.take(MAX_RECORDS).collect())
    }
}
