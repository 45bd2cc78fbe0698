//! Sites shared out over agents with one configuration, whose number of shards changes while they run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use nbu_otel_agent::sharding::owner;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, port};
use crate::support::{eventually, simulate, world};

const SITES: usize = 100;

/// The pods of a StatefulSet.
struct Pods {
    desk: Desk,
    pods: Vec<(Process, Endpoint)>,
}

impl Pods {
    fn start(&mut self) {
        let (number, port) = (self.pods.len(), port());
        let (name, port_text) = (format!("nbu-{number}"), port.to_string());
        let environment = [("POD_NAME", name.as_str()), ("PORT", &port_text)];
        let pod = self.desk.start_in(&["--config", "config.yaml"], &environment);
        self.pods.push((pod, Endpoint::on(port)));
    }

    /// Puts a number of shards in force.
    fn share(&self, shards: u32) {
        self.desk.write(
            "config.yaml",
            &format!(
                "server: {{ host: 127.0.0.1, port: \"${{PORT}}\", collectionInterval: 300s, configCheckInterval: 1h }}\n\
                 sharding: {{ shards: {shards} }}\n"
            ),
        );
    }

    /// The sites that each pod shows.
    async fn shown(&self) -> Vec<BTreeSet<String>> {
        let mut shown = Vec::new();
        for (_, endpoint) in &self.pods {
            let page = endpoint.scrape().await;
            let of_page = page.iter().flat_map(crate::support::Page::series);
            let up = of_page.filter(|((name, _), value)| name == "nbu_up" && **value == 1.0);
            let site = |labels: &[(String, String)]| {
                labels.iter().find(|(key, _)| key == "site").map(|(_, site)| site.clone())
            };
            shown.push(up.filter_map(|((_, labels), _)| site(labels)).collect());
        }
        shown
    }

    /// Waits until each site is shown by its owner alone. Prints how long sites that moved were shown by two pods, or
    /// by none.
    async fn settled(&self, shards: u32, sites: &[String]) {
        let expected: Vec<BTreeSet<String>> = (0..self.pods.len())
            .map(|pod| {
                let is_own = |site: &&String| owner(site, shards) as usize == pod;
                sites.iter().filter(is_own).cloned().collect()
            })
            .collect();
        let (started, mut last) = (Instant::now(), Instant::now());
        let (mut twice, mut never) =
            (BTreeMap::<String, u128>::new(), BTreeMap::<String, u128>::new());
        loop {
            let shown = self.shown().await;
            let since = last.elapsed().as_millis();
            last = Instant::now();
            for site in sites {
                match shown.iter().filter(|of_pod| of_pod.contains(site)).count() {
                    0 => *never.entry(site.clone()).or_default() += since,
                    1 => {}
                    _ => *twice.entry(site.clone()).or_default() += since,
                }
            }
            if shown == expected {
                break;
            }
            assert!(
                started.elapsed() < crate::support::PATIENCE,
                "expected {expected:?}, found {shown:?}; {}",
                self.pods[0].0.said()
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let longest =
            |times: &BTreeMap<String, u128>| times.values().max().copied().unwrap_or_default();
        println!(
            "{} pods, {shards} shards: settled in {} ms; {} sites were shown by two for at most {} ms, {} by none for at most {} ms",
            self.pods.len(),
            started.elapsed().as_millis(),
            twice.len(),
            longest(&twice),
            never.len(),
            longest(&never)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_have_exactly_one_of_three_or_four_agents() {
    let server = simulate(world(1)).await;
    let sites: Vec<String> = (0..SITES).map(|number| format!("site-{number:03}")).collect();
    let desk = Desk::new();
    std::fs::create_dir(desk.path("sites.d")).expect("a directory");
    let (address, key) = (server.addr(), &server.settings().api_key);
    for site in &sites {
        let file = format!(
            "{{ scheme: http, host: {}, port: {}, apiKey: {key} }}",
            address.ip(),
            address.port()
        );
        desk.write(&format!("sites.d/{site}.yaml"), &file);
    }
    let mut pods = Pods { desk, pods: Vec::new() };
    pods.share(3);
    for _ in 0..3 {
        pods.start();
    }
    eventually("three pods", || async {
        pods.shown().await.iter().all(|shown| !shown.is_empty()).then_some(())
    })
    .await;
    pods.settled(3, &sites).await;
    // A pod that comes before its shard polls nothing.
    pods.start();
    pods.settled(3, &sites).await;
    pods.share(4);
    pods.settled(4, &sites).await;
    pods.share(3);
    pods.settled(3, &sites).await;
    let page = pods.pods[3].1.scrape().await.expect("a page");
    assert_eq!(page.value("nbu_agent_shard", &[]), Some(3.0));
    assert_eq!(page.value("nbu_agent_shards", &[]), Some(3.0));
    for (pod, _) in &mut pods.pods {
        pod.end_by(Signal::TERM).await;
    }
}
