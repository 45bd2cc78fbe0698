//! Many wrong passwords at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Agent, Place};
use crate::support::{ended, http_client};

/// A user whose password takes a while to check.
fn users(place: &Place) -> String {
    let hash = bcrypt::hash("right", 8).unwrap();
    place.write("users", &format!("prometheus:{hash}\n"))
}

async fn ask(client: &reqwest::Client, agent: &Agent, password: &str) -> u16 {
    let request = client.get(agent.url("/-/healthy")).basic_auth("prometheus", Some(password));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn crowd_of_wrong_passwords_is_turned_away() {
    let place = Place::new().await;
    let agent = place.start(&format!("web: {{ usersFile: {} }}", users(&place))).await;
    assert_eq!(ask(&http_client(), &agent, "right").await, 200);
    let agent = Arc::new(agent);
    let refused: Arc<[AtomicUsize; 2]> = Arc::default();
    let mut crowd = tokio::task::JoinSet::new();
    for client in 0..20 {
        let (agent, refused) = (Arc::clone(&agent), Arc::clone(&refused));
        crowd.spawn(async move {
            let http = http_client();
            for password in 0..10 {
                let status = ask(&http, &agent, &format!("wrong-{client}-{password}")).await;
                let kind = match status {
                    401 => 0,
                    429 => 1,
                    other => panic!("{other}"),
                };
                refused[kind].fetch_add(1, Relaxed);
            }
        });
    }
    // The right one, which is remembered, is never turned away.
    for _ in 0..20 {
        assert_eq!(ask(&http_client(), &agent, "right").await, 200);
    }
    while ended(&mut crowd).await.is_some() {}
    let [wrong, busy] = [&refused[0], &refused[1]].map(|count| count.load(Relaxed));
    assert_eq!(wrong + busy, 200);
    assert!(wrong > 0 && busy > 0, "{wrong} checked, {busy} turned away");
    // Afterwards the place of a check is free.
    assert_eq!(ask(&http_client(), &agent, "wrong").await, 401);
    if let Ok(agent) = Arc::try_unwrap(agent) {
        agent.stop().await;
    }
}
