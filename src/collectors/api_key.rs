//! The API key itself: when it expires (docs/netbackup-api.md#api-keys).

use async_trait::async_trait;
use serde::Deserialize;

use super::collector::{Cadence, Collected, Collector, Row};
use crate::metric::{Metric, Samples};
use crate::netbackup::lenient;
use crate::netbackup::{Error, ErrorKind, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "api_key",
    resource: &API_KEY,
    also: &[],
    // It changes when somebody renews the key.
    cadence: Cadence::Every(12),
    requests: "1",
    core: false,
    metrics: || vec![EXPIRY.definition()],
    switch: Some("apiKey"),
    build: |_| Box::new(ApiKey::default()),
    same: |_, _| true,
};

static API_KEY: Resource = Resource {
    name: "api_key",
    path: "/security/api-keys/{apiKeyTag}",
    permission: None,
    max_limit: 0,
};

static EXPIRY: Metric<0> = Metric::gauge(
    "nbu.api_key.expiry.timestamp",
    "s",
    &[],
    "Time at which the API key that the agent uses expires, Unix seconds. Absent for a key of another kind (a token), and if the server does not tell.",
);

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(deserialize_with = "lenient::required_object")]
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(deserialize_with = "lenient::required_object")]
    attributes: Attributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attributes {
    /// Unix ms.
    #[serde(deserialize_with = "lenient::timestamp")]
    expiry_date_time: Option<i64>,
}

#[derive(Default)]
struct ApiKey {
    /// It was logged that the server does not know the key by its tag.
    logged: bool,
}

#[async_trait]
impl Collector for ApiKey {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let mut samples = Samples::new();
        match expiry(session).await {
            Ok(expiry) => {
                self.logged = false;
                samples.record(&EXPIRY, [], expiry.map(|ms| ms as f64 / 1000.0));
            }
            // A slash of the tag may be too much for a web server, which says 400.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::BadRequest) => {
                if !std::mem::replace(&mut self.logged, true) {
                    let (site, status) = (session.client().site(), error.status());
                    tracing::info!(
                        site,
                        status,
                        "the server does not know the API key by its tag; not exporting when it expires"
                    );
                }
            }
            Err(error) => return Err(error),
        }
        Ok(Collected::whole(samples))
    }

    async fn permitted(
        &mut self,
        session: &Session,
        _resource: &'static Resource,
    ) -> Result<Option<bool>, Error> {
        expiry(session).await.map(|_| Some(true))
    }
}

/// Returns when the key in force expires, Unix ms; `None` if the server does not tell.
async fn expiry(session: &Session) -> Result<Option<i64>, Error> {
    let body = session.get(&API_KEY, &Query::all()).await?;
    Ok(body.read::<Answer>()?.data.attributes.expiry_date_time)
}
