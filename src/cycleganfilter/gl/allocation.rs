// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pools of textures, for upstream and for output frames.

use gst::prelude::*;
use gst_gl::{GLBufferPool, GLContext, GLSyncMeta, prelude::*};
use gst_video::{VideoInfo, VideoMeta};

use super::{Contexts, Error};

impl Contexts {
    /// Offers upstream a pool of textures, in place of the system memory pool that `GstVideoFilter`
    /// offers.
    pub fn propose_allocation(
        &self,
        element: &impl IsA<gst::Element>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), Error> {
        let context = self.find(element)?;
        while query.allocation_pools().next().is_some() {
            query.remove_nth_allocation_pool(0);
        }
        while query.allocation_params().next().is_some() {
            query.remove_nth_allocation_param(0);
        }
        let (Some(caps), needs_pool) = query.get_owned() else { return Ok(()) };
        let size = VideoInfo::from_caps(&caps)?.size() as u32;
        let pool = match needs_pool {
            true => Some(configured(GLBufferPool::new(&context).upcast(), &caps, size, (0, 0))?),
            false => None,
        };
        query.add_allocation_pool(pool.as_ref(), size, 0, 0);
        query.add_allocation_meta::<GLSyncMeta>(None);
        if query.find_allocation_meta::<VideoMeta>().is_none() {
            query.add_allocation_meta::<VideoMeta>(None);
        }
        Ok(())
    }

    /// Uses downstream's pool if its textures can be shared with the element's context, otherwise a
    /// new one.
    pub fn decide_allocation(
        &self,
        element: &impl IsA<gst::Element>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), Error> {
        let context = self.find(element)?;
        let (Some(caps), _) = query.get_owned() else { return Ok(()) };
        let own_size = VideoInfo::from_caps(&caps)?.size() as u32;
        let offers: Vec<_> = query
            .allocation_pools()
            .map(|(pool, size, min, max)| (pool.map(|pool| pool.to_owned()), size, min, max))
            .collect();
        let is_offered = !offers.is_empty();
        let first = offers.into_iter().next();
        let (pool, size, min, max) = first.unwrap_or((None, own_size, 0, 0));
        let size = size.max(own_size);
        let pool = pool.filter(|pool| is_shared(pool, &context));
        let pool = pool.unwrap_or_else(|| GLBufferPool::new(&context).upcast());
        let pool = configured(pool, &caps, size, (min, max))?;
        match is_offered {
            true => query.set_nth_allocation_pool(0, Some(&pool), size, min, max),
            false => query.add_allocation_pool(Some(&pool), size, min, max),
        }
        Ok(())
    }
}

/// Whether this is the API type of `GstGLSyncMeta`, which is valid for one buffer only.
pub fn is_sync_meta(api: gst::glib::Type) -> bool {
    api == GLSyncMeta::meta_api()
}

fn is_shared(pool: &gst::BufferPool, context: &GLContext) -> bool {
    let Some(pool) = pool.downcast_ref::<GLBufferPool>() else { return false };
    // SAFETY: a pool holds its context from its making to its end, and so does the borrowed reference.
    let other = unsafe {
        gst::glib::translate::from_glib_none::<_, Option<GLContext>>((*pool.as_ptr()).context)
    };
    other.is_some_and(|other| other == *context || other.can_share(context))
}

fn configured(
    pool: gst::BufferPool,
    caps: &gst::Caps,
    size: u32,
    (min, max): (u32, u32),
) -> Result<gst::BufferPool, Error> {
    let mut config = pool.config();
    config.set_params(Some(caps), size, min, max);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
    config.add_option(gst_gl::BUFFER_POOL_OPTION_GL_SYNC_META);
    pool.set_config(config)?;
    Ok(pool)
}
