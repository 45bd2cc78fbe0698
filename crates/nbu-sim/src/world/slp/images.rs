//! All images under an SLP, as they are in the world.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use fastrand::Rng;

use super::copies::{Ending, NEVER, Script, scripts};
use super::image::SlpImage;
use super::policy::{DAY, IMPORT_SLP, MINUTE, REPLICATE};
use crate::world::World;

/// Marks of the ids of images by their origin; the rest is an index.
const OF_JOB: u32 = 1 << 29;
const REPLICA: u32 = 1 << 30;

impl World {
    /// Returns all images that are or were under an SLP at world time `at`, in the order of backupTime.
    pub(crate) fn slp_images(&self, at: i64) -> Vec<SlpImage> {
        if self.slp.slps.is_empty() && self.origins.is_empty() {
            return Vec::new();
        }
        let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
        let waiting = 0..count(self.slp.backlog.len());
        let of_jobs = (0..count(self.jobs.len())).map(|index| OF_JOB | index);
        let mut ids = HashSet::new();
        let own = waiting.chain(of_jobs).filter_map(|id| self.own_image(id, at));
        let mut all: Vec<SlpImage> =
            own.filter(|image| ids.insert(image.backup_id.clone())).collect();
        for origin in &self.origins {
            let origin = origin.read().unwrap_or_else(PoisonError::into_inner);
            let images = origin.slp_images(at);
            all.extend(images.iter().filter_map(|image| replica(&origin, image, at)));
        }
        all.sort_by_key(|image| (image.made, image.id));
        all
    }

    /// Returns an image that this server made; `None` if it does not exist at `at`.
    fn own_image(&self, id: u32, at: i64) -> Option<SlpImage> {
        if id & OF_JOB != 0 { self.image_of_job(id, at) } else { self.waiting_image(id, at) }
    }

    fn waiting_image(&self, id: u32, at: i64) -> Option<SlpImage> {
        let image = self.slp.backlog.get(id as usize)?;
        let slp = &self.slp.slps[image.slp];
        let client: Arc<str> = format!("file{:04}.example.com", image.client).into();
        let backed_up = image.made + image.took;
        let scripts = scripts(slp, image.made, backed_up, image.luck);
        (image.made <= at).then(|| SlpImage {
            policy: image.policy,
            kilobytes: image.kilobytes,
            // NetBackup knows the size at the end.
            cataloged: backed_up <= at,
            ..SlpImage::new(
                id,
                &slp.name,
                client,
                (image.made, self.stamp(image.made)),
                image.luck,
                &scripts,
                at,
            )
        })
    }

    /// Returns the image of a backup job under a policy that has an SLP.
    fn image_of_job(&self, id: u32, at: i64) -> Option<SlpImage> {
        let index = (id & !OF_JOB) as usize;
        let job = self.jobs.get(index).filter(|job| job.kind().backs_up() && job.is_leaf())?;
        let slp = self.slp.of_policy(usize::from(job.policy))?;
        let mut good = self.completions_of(job, at).filter(|step| matches!(step.status, 0 | 1));
        let backed_up = job.at(good.next()?);
        let look = self.look(index, backed_up)?;
        let name = self.backup_id(index, &look).into_owned();
        if name.is_empty() {
            return None;
        }
        let luck = Rng::with_seed(self.slp.seed ^ u64::from(id)).u64(..);
        let scripts = scripts(slp, job.created, backed_up, luck);
        let client = Arc::clone(self.workload(index));
        Some(SlpImage {
            policy: usize::from(job.policy),
            kilobytes: look.kilobytes,
            cataloged: true,
            backup_id: name,
            ..SlpImage::new(
                id,
                &slp.name,
                client,
                (job.created, self.stamp(job.created)),
                luck,
                &scripts,
                at,
            )
        })
    }
}

/// Returns the replica of an image of another server; `None` while it has not arrived, and if it never does.
fn replica(origin: &World, image: &SlpImage, at: i64) -> Option<SlpImage> {
    let copy = image.copies.iter().find(|copy| copy.kind == REPLICATE)?;
    let replicated = copy.completed?;
    let mut rng = Rng::with_seed(image.luck ^ 0xa1_4e);
    let (fate, arrived) = (rng.u8(0..16), replicated + rng.i64(1..10) * MINUTE);
    let started = arrived + rng.i64(5..40) * MINUTE;
    if fate == 0 || arrived > at {
        return None;
    }
    let ending = if fate == 1 { Ending::ImportFailed } else { Ending::Complete };
    let import = Script::import(arrived, started, started + 5 * MINUTE, ending);
    let slp: Arc<str> = Arc::from(IMPORT_SLP);
    let (client, id) = (Arc::clone(&image.client), REPLICA | image.id);
    let made = (image.made, image.made_stamp);
    let new = SlpImage::new(id, &slp, client, made, image.luck, &[import], at);
    let imported = new.copies.first().and_then(|copy| copy.completed);
    Some(SlpImage {
        expires: image.expires.map(|_| image.made_stamp + 60 * DAY),
        policy: image.policy,
        kilobytes: image.kilobytes,
        cataloged: imported.is_some(),
        backup_id: image.backup_id.clone(),
        origin: Some(Arc::clone(&origin.names.server)),
        imported: imported.filter(|done| *done < NEVER),
        ..new
    })
}
