/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/hypervwrite.h"
#include "machine/hyperv.h"
#include "machine/hypervscript.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Hyper-V wants memory in such pieces. */
#define MEMORY_UNIT (UINT64_C(2) << 20)

static const char usage[] =
    "# In an administrator's PowerShell, it makes the machine of the disk images beside it, where they are:\n"
    "#   powershell -ExecutionPolicy Bypass -File THIS-SCRIPT [-SwitchName NAME]\n";

static const char parameters[] =
    "param(\n"
    "    # The virtual switch to connect to, whatever the machine's networks were called.\n"
    "    [string]$SwitchName = ''\n"
    ")\n"
    "$ErrorActionPreference = 'Stop'\n"
    "\n"
    "# What the machine is; vmscm reads it again.\n";

static const char commands[] =
    "# vmscm: end\n"
    "\n"
    "if (Get-VM | Where-Object { $_.Name -eq $name }) { throw \"There is a machine $name.\" }\n"
    "foreach ($d in $disks) {\n"
    "    if (-not (Test-Path -LiteralPath (Join-Path $PSScriptRoot $d.File))) {\n"
    "        throw \"$($d.File) is missing.\"\n"
    "    }\n"
    "}\n"
    "$vm = New-VM -Name $name -Generation $generation -MemoryStartupBytes $memory -NoVHD\n"
    "try {\n"
    "    Set-VMProcessor -VM $vm -Count $cpus\n"
    "    Set-VMMemory -VM $vm -DynamicMemoryEnabled $false -StartupBytes $memory\n"
    "    Get-VMNetworkAdapter -VM $vm | Remove-VMNetworkAdapter\n"
    "    # A new machine has a drive where a disk's place may be.\n"
    "    Get-VMDvdDrive -VM $vm | Remove-VMDvdDrive\n"
    "    foreach ($d in $disks) {\n"
    "        while ($d.Type -eq 'SCSI' -and @(Get-VMScsiController -VM $vm).Count -le $d.Number) {\n"
    "            Add-VMScsiController -VM $vm\n"
    "        }\n"
    "        Add-VMHardDiskDrive -VM $vm -ControllerType $d.Type -ControllerNumber $d.Number `\n"
    "            -ControllerLocation $d.Location -Path (Join-Path $PSScriptRoot $d.File)\n"
    "    }\n"
    "    foreach ($n in $nics) {\n"
    "        $nic = if ($generation -eq 1) { Add-VMNetworkAdapter -VM $vm -IsLegacy $n.Legacy -Passthru }\n"
    "            else { Add-VMNetworkAdapter -VM $vm -Passthru }\n"
    "        if ($n.Mac) { Set-VMNetworkAdapter -VMNetworkAdapter $nic -StaticMacAddress $n.Mac }\n"
    "        $to = if ($SwitchName) { $SwitchName } else { $n.Network }\n"
    "        if (Get-VMSwitch | Where-Object { $_.Name -eq $to }) {\n"
    "            Connect-VMNetworkAdapter -VMNetworkAdapter $nic -SwitchName $to\n"
    "        } else {\n"
    "            Write-Warning \"There is no virtual switch '$to': a network adapter is not connected.\"\n"
    "        }\n"
    "    }\n"
    "    if ($generation -eq 2) {\n"
    "        Set-VMFirmware -VM $vm -EnableSecureBoot $(if ($secureBoot) { 'On' } else { 'Off' })\n"
    "        $first = Get-VMHardDiskDrive -VM $vm | Select-Object -First 1\n"
    "        if ($first) { Set-VMFirmware -VM $vm -FirstBootDevice $first }\n"
    "    }\n"
    "    $vm\n"
    "} catch {\n"
    "    Remove-VM -VM $vm -Force\n"
    "    throw\n"
    "}\n";

struct writing {
    struct vmscm_buf *out;
    struct vmscm_error *err;
    int rc;
};

static void put(struct writing *w, const char *text)
{
    if (!w->rc)
        w->rc = vmscm_buf_puts(w->out, text, w->err);
}

static void put_number(struct writing *w, const char *before, uint64_t n)
{
    if (!w->rc)
        w->rc = vmscm_buf_printf(w->out, w->err, "%s%" PRIu64, before, n);
}

/* The next character of UTF-8, which is valid. */
static uint32_t next_char(const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    size_t more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    uint32_t c = p[0] & (more ? 0x3fu >> more : 0x7fu);

    size_t i = 1;

    for (; i <= more && (p[i] & 0xc0) == 0x80; i++)
        c = c << 6 | (p[i] & 0x3f);
    *s += i;
    return c;
}

static void put_unit(struct writing *w, uint32_t unit)
{
    if (!w->rc)
        w->rc = vmscm_buf_printf(w->out, w->err, "' + [char]0x%04" PRIX32 " + '", unit);
}

/* A text in apostrophes; what is not ASCII by its number. */
static void put_text(struct writing *w, const char *text)
{
    put(w, "'");
    while (text && *text && !w->rc) {
        uint32_t c = next_char(&text);
        char plain[3] = {(char)c, c == '\'' ? '\'' : '\0', '\0'};
        if (c >= 0x20 && c < 0x7f)
            put(w, plain);
        else if (c < 0x10000)
            put_unit(w, c);
        else {
            put_unit(w, 0xd800 + ((c - 0x10000) >> 10));
            put_unit(w, 0xdc00 + ((c - 0x10000) & 0x3ff));
        }
    }
    put(w, "'");
}

/* Lines behind "# "; in a comment nothing has a meaning but the line's end. */
static void put_comment(struct writing *w, const char *text)
{
    while (text && *text && !w->rc) {
        size_t len = strcspn(text, "\r\n");
        w->rc = vmscm_buf_printf(w->out, w->err, "# %.*s\n", (int)len, text);
        text += len;
        text += strspn(text, "\r\n");
    }
}

static bool has_bios(const struct vmscm_machine *m)
{
    return strcmp(m->firmware, "uefi") != 0;
}

/* With BIOS only IDE disks boot: the first one always is one. */
static bool is_ide(const struct vmscm_machine *m, size_t disk, unsigned used)
{
    const char *bus = m->disks[disk].bus;

    return has_bios(m) && used < VMSCM_HYPERVSCRIPT_IDE &&
        (disk == 0 || (bus && strcmp(bus, "ide") == 0));
}

static void put_disks(struct writing *w, const struct vmscm_description *d)
{
    const struct vmscm_machine *m = d->machine;
    unsigned ide = 0, scsi = 0;

    put(w, "$disks = @(\n");
    for (size_t i = 0; i < m->disk_count && !w->rc; i++) {
        bool on_ide = is_ide(m, i, ide);
        unsigned n = on_ide ? ide++ : scsi++, places = on_ide ? 2 : VMSCM_HYPERVSCRIPT_PLACES;
        if (!on_ide && n == VMSCM_HYPERVSCRIPT_CONTROLLERS * VMSCM_HYPERVSCRIPT_PLACES) {
            w->rc = vmscm_error_set(w->err, VMSCM_EUNSUPPORTED,
                "disk %s: Hyper-V has no place for so many", m->disks[i].id);
            return;
        }
        put(w, "    @{ File = ");
        put_text(w, d->files[i]);
        put(w, on_ide ? "; Type = 'IDE'" : "; Type = 'SCSI'");
        put_number(w, "; Number = ", n / places);
        put_number(w, "; Location = ", n % places);
        put(w, " }\n");
    }
    put(w, ")\n");
}

static void put_nics(struct writing *w, const struct vmscm_machine *m)
{
    put(w, "$nics = @(\n");
    for (size_t i = 0; i < m->nic_count && !w->rc; i++) {
        const struct vmscm_machine_nic *nic = &m->nics[i];
        char mac[13];
        size_t n = 0;
        for (const char *p = nic->mac ? nic->mac : ""; *p && n < sizeof mac - 1; p++)
            if (*p != ':')
                mac[n++] = *p;
        mac[n] = '\0';
        put(w, "    @{ Network = ");
        put_text(w, nic->network);
        put(w, "; Mac = ");
        put_text(w, mac);
        put(w, has_bios(m) && nic->model && strcmp(nic->model, VMSCM_HYPERV_LEGACY_NIC) == 0
                ? "; Legacy = $true }\n"
                : "; Legacy = $false }\n");
    }
    put(w, ")\n");
}

int vmscm_hypervwrite_encode(struct vmscm_buf *out, const struct vmscm_description *d,
    struct vmscm_error *err)
{
    const struct vmscm_machine *m = d->machine;
    struct writing w = {out, err, 0};

    put(&w, VMSCM_HYPERVSCRIPT_MAGIC);
    put(&w, "\n");
    put(&w, usage);
    put(&w, "#\n");
    put_comment(&w, d->annotation);
    put(&w, parameters);
    put(&w, "$name = ");
    put_text(&w, m->name ? m->name : d->name);
    put_number(&w, "\n$generation = ", has_bios(m) ? 1 : 2);
    put_number(&w, "\n$cpus = ", m->cpus);
    put_number(&w, "\n$memory = ", (m->memory + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT);
    put(&w, !has_bios(m) && m->secure_boot ? "\n$secureBoot = $true\n" : "\n$secureBoot = $false\n");
    put_disks(&w, d);
    put_nics(&w, m);
    if (d->as && d->is) {
        put(&w, "# vmscm.as: ");
        put(&w, d->as);
        put(&w, "\n# vmscm.is: ");
        put(&w, d->is);
        put(&w, "\n");
    }
    put(&w, commands);
    return w.rc;
}
