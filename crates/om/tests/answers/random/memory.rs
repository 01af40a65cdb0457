//! What one server gave out that later requests have to name, by the number of the step that got it.

use std::collections::HashMap;

use om_proto::{KeyArgs, KeyLocation, OmResponse};

use crate::keys::{Open, opened};

/// `ozone.scm.block.size`, in bytes.
const BLOCK: u64 = 256 << 20;

/// One server's side of a run.
pub struct Memory {
    /// Volumes begin with this, so that runs on the same servers do not meet.
    world: String,
    opens: HashMap<usize, Open>,
    uploads: HashMap<usize, String>,
    generations: HashMap<usize, u64>,
}

impl Memory {
    pub fn new(world: String) -> Self {
        let (opens, uploads, generations) = Default::default();
        Self { world, opens, uploads, generations }
    }

    /// The volume that a script calls `name`.
    pub fn volume(&self, name: &str) -> String {
        format!("{}{name}", self.world)
    }

    /// `args` with the volume of this run.
    pub fn real(&self, args: &KeyArgs) -> KeyArgs {
        KeyArgs { volume_name: self.volume(&args.volume_name), ..args.clone() }
    }

    /// What all runs have in common.
    pub fn without_world(&self, text: &str) -> String {
        text.replace(&self.world, "")
    }

    /// Client id of the key that a step opened; 0 if it did not.
    pub fn client(&self, step: usize) -> u64 {
        self.opens.get(&step).map_or(0, |open| open.id)
    }

    /// The blocks of an open key, of which `size` bytes were written.
    pub fn written(&self, step: usize, size: u64) -> Vec<KeyLocation> {
        let blocks = self.opens.get(&step).map_or(&[][..], |open| &open.blocks);
        let mut left = size;
        let mut written = Vec::new();
        for block in blocks {
            let length = left.min(BLOCK);
            if length > 0 {
                written.push(KeyLocation { length, ..block.clone() });
            }
            left -= length;
        }
        written
    }

    /// The id of the upload that a step began.
    pub fn upload(&self, step: usize) -> String {
        self.uploads.get(&step).cloned().unwrap_or_else(|| "no-such-upload".to_owned())
    }

    /// The generation of the key that a step looked at.
    pub fn generation(&self, step: usize) -> Option<u64> {
        self.generations.get(&step).copied()
    }

    /// Remembers what the answer to a step gave out. `of` is the step that opened the key of a new block.
    pub fn learn(&mut self, step: usize, of: Option<usize>, answer: &OmResponse) {
        if answer.create_key_response.is_some() || answer.create_file_response.is_some() {
            self.opens.insert(step, opened(answer));
        }
        if let Some(begun) = &answer.initiate_multi_part_upload_response {
            self.uploads.insert(step, begun.multipart_upload_id.clone());
        }
        if let Some(info) = answer.get_key_info_response.as_ref().and_then(|r| r.key_info.as_ref())
        {
            self.generations.insert(step, info.update_id());
        }
        let block = answer.allocate_block_response.as_ref().and_then(|r| r.key_location.clone());
        if let (Some(block), Some(open)) = (block, of.and_then(|of| self.opens.get_mut(&of))) {
            open.blocks.push(KeyLocation { pipeline: None, ..block });
        }
    }
}
