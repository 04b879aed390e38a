/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which disks and NICs of a .vmx are found, in which order. */
#include "unit.h"

#include "machine/vmx.h"

static void parse(struct vmscm_vmx *out, const char *text)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;

    assert_done(vmscm_vmx_parse(out, text, strlen(text), &err), &err);
}

static void disks_in_order(void **state)
{
    static const char text[] =
        "SCSI10:2.FileName = \"four.vmdk\"\n"
        "scsi10:2.present = \"TRUE\"\n"
        "scsi2:15.present = \"TRUE\"\n"
        "scsi2:15.fileName = \"three.vmdk\"\n"
        "scsi2:3.fileName = \"two.vmdk\"\n"
        "scsi2:3.present = \"TRUE\"\n"
        "scsi2.present = \"TRUE\"\n"
        "ide1:0.present = \"TRUE\"\n"
        "ide1:0.fileName = \"one.vmdk\"\n"
        "nvme15:63.present = \"TRUE\"\n"
        "nvme15:63.fileName = \"five.vmdk\"\n";
    static const char *const files[] = {"one.vmdk", "two.vmdk", "three.vmdk", "four.vmdk", "five.vmdk"};
    struct vmscm_vmx vmx;

    (void)state;
    parse(&vmx, text);
    assert_int_equal(vmx.machine->disk_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(vmx.sources[i], files[i]);
    assert_string_equal(vmx.machine->disks[0].bus, "ide");
    assert_string_equal(vmx.machine->disks[4].bus, "nvme");
    vmscm_vmx_release(&vmx);
}

/* Places that no program of VMware's writes, or that there are not. */
static void no_disks(void **state)
{
    static const char *const places[] = {"scsi00:0", "scsi0:00", "scsi16:0", "scsi0:64", "scsi:0",
        "scsi0:", "scsi0:0x", "scsi 0:0", "scsi99999999999999999999:0", "xscsi0:0"};

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char text[256];
        struct vmscm_vmx vmx;
        snprintf(text, sizeof text, "%s.present = \"TRUE\"\n%s.fileName = \"a.vmdk\"\n", places[i],
            places[i]);
        parse(&vmx, text);
        assert_int_equal(vmx.machine->disk_count, 0);
        vmscm_vmx_release(&vmx);
    }
}

static void disks_that_are_not_there(void **state)
{
    struct vmscm_vmx vmx;

    (void)state;
    parse(&vmx,
        "scsi1.present = \"FALSE\"\nscsi1:0.present = \"TRUE\"\nscsi1:0.fileName = \"a.vmdk\"\n"
        "scsi2:0.present = \"FALSE\"\nscsi2:0.fileName = \"b.vmdk\"\n"
        "scsi3:0.present = \"TRUE\"\n");
    assert_int_equal(vmx.machine->disk_count, 0);
    vmscm_vmx_release(&vmx);
}

static void nics_in_order(void **state)
{
    struct vmscm_vmx vmx;

    (void)state;
    parse(&vmx,
        "ethernet255.present = \"TRUE\"\nethernet255.networkName = \"c\"\n"
        "Ethernet10.present = \"TRUE\"\nethernet10.networkName = \"b\"\n"
        "ethernet9.present = \"TRUE\"\nethernet9.networkName = \"a\"\n"
        "ethernet1.present = \"FALSE\"\nethernet256.present = \"TRUE\"\n");
    assert_int_equal(vmx.machine->nic_count, 3);
    assert_string_equal(vmx.machine->nics[0].network, "a");
    assert_string_equal(vmx.machine->nics[1].network, "b");
    assert_string_equal(vmx.machine->nics[2].network, "c");
    vmscm_vmx_release(&vmx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disks_in_order),
        cmocka_unit_test(no_disks),
        cmocka_unit_test(disks_that_are_not_there),
        cmocka_unit_test(nics_in_order),
    };

    return unit_run(tests);
}
