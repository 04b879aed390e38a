/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/blockdev.h"

int vmscm_blockdev_pread(struct vmscm_blockdev *dev, void *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    if (offset > dev->size || len > dev->size - offset)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: read past the end", dev->name);
    return len ? dev->ops->pread(dev, data, len, offset, err) : 0;
}

int vmscm_blockdev_extent(struct vmscm_blockdev *dev, uint64_t offset, uint64_t *len, bool *zero,
    struct vmscm_error *err)
{
    if (offset >= dev->size)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: extent past the end", dev->name);
    if (!dev->ops->extent) {
        *len = dev->size - offset;
        *zero = false;
        return 0;
    }
    int rc = dev->ops->extent(dev, offset, len, zero, err);
    if (rc)
        return rc;
    if (*len == 0)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: empty extent", dev->name);
    if (*len > dev->size - offset)
        *len = dev->size - offset;
    return 0;
}

int vmscm_blockdev_unchanged(struct vmscm_blockdev *dev, struct vmscm_error *err)
{
    return dev->ops->unchanged ? dev->ops->unchanged(dev, err) : 0;
}

void vmscm_blockdev_close(struct vmscm_blockdev *dev)
{
    if (dev)
        dev->ops->close(dev);
}
