/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hints: what a descriptor could not say comes back; what was changed stays; other texts are nothing. */
#include "machine/hint.h"
#include "machine/model.h"

#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_disk(struct vmscm_machine *m, const char *id, const char *bus)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine_disk *disk;

    assert_int_equal(vmscm_model_add_disk(&disk, m, id, &err), 0);
    assert_int_equal(vmscm_model_set(&disk->target, id, &err), 0);
    assert_int_equal(vmscm_model_set(&disk->bus, bus, &err), 0);
}

static struct vmscm_machine *machine(const char *first, const char *second, const char *bus)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m;

    assert_int_equal(vmscm_model_new(&m, &err), 0);
    assert_int_equal(vmscm_model_set(&m->name, "a \"name\"", &err), 0);
    add_disk(m, first, bus);
    add_disk(m, second, "ide");
    return m;
}

struct world {
    struct vmscm_machine *is, *as;
    char *is_text, *as_text;
};

/* A machine with a virtio disk and an IDE disk, that is seen as the IDE disk and a SATA disk. */
static int setup(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->is = machine("vda", "hda", "virtio");
    w->as = machine("sda", "hda", "sata");
    w->is->memory = 1000;
    assert_int_equal(vmscm_model_set(&w->is->machine_type, "pc", &err), 0);
    assert_int_equal(vmscm_model_set(&w->is->nics[0].type, NULL, &err), 0);
    assert_int_equal(vmscm_hint_encode(&w->is_text, w->is, &err), 0);
    assert_int_equal(vmscm_hint_encode(&w->as_text, w->as, &err), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    vmscm_model_free(w->is);
    vmscm_model_free(w->as);
    free(w->is_text);
    free(w->as_text);
    free(w);
    return 0;
}

static void one_line(void **state)
{
    const struct world *w = *state;

    assert_null(strchr(w->is_text, '\n'));
    assert_non_null(strstr(w->is_text, "a \\\"name\\\""));
}

static void all_comes_back(void **state)
{
    const struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    /* As a reader found it: in another order. */
    struct vmscm_machine *m = machine("hda", "sda", "ide");
    char first[] = "ide file", second[] = "sata file", *sources[] = {first, second};

    assert_int_equal(vmscm_model_set(&m->disks[1].bus, "sata", &err), 0);
    assert_int_equal(vmscm_hint_apply(m, sources, w->as_text, w->is_text, &err), 0);
    assert_false(vmscm_hint_differ(w->is, m));
    assert_ptr_equal(sources[0], second);
    assert_ptr_equal(sources[1], first);
    vmscm_model_free(m);
}

static void what_was_changed_stays(void **state)
{
    const struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m = machine("sda", "hda", "scsi");

    m->memory = 4096;
    m->cpus = 9;
    assert_int_equal(vmscm_model_set(&m->nics[0].type, "bridge", &err), 0);
    assert_int_equal(vmscm_hint_apply(m, NULL, w->as_text, w->is_text, &err), 0);
    assert_int_equal(m->memory, 4096);
    assert_int_equal(m->cpus, 9);
    assert_string_equal(m->nics[0].type, "bridge");
    assert_string_equal(m->disks[0].bus, "scsi");
    assert_string_equal(m->disks[0].id, "vda");
    assert_string_equal(m->machine_type, "pc");
    vmscm_model_free(m);
}

/* A disk more or less, or of another name: then no disk is corrected. */
static void other_disks_stay(void **state)
{
    const struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m = machine("sda", "sdb", "sata");

    assert_int_equal(vmscm_hint_apply(m, NULL, w->as_text, w->is_text, &err), 0);
    assert_string_equal(m->disks[0].id, "sda");
    assert_string_equal(m->disks[0].bus, "sata");
    add_disk(m, "hda", "ide");
    assert_int_equal(vmscm_hint_apply(m, NULL, w->as_text, w->is_text, &err), 0);
    assert_string_equal(m->disks[0].id, "sda");
    vmscm_model_free(m);
}

static void others_texts_are_nothing(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{\"arch\": \"../..\"}", "null", "\xff", "{\"version\": 2}"};
    const struct world *w = *state;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m = machine("sda", "hda", "sata");

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(vmscm_hint_apply(m, NULL, w->as_text, texts[i], &err), 0);
        assert_int_equal(vmscm_hint_apply(m, NULL, texts[i], w->is_text, &err), 0);
        assert_int_equal(err.code, 0);
        assert_false(vmscm_hint_differ(w->as, m));
    }
    vmscm_model_free(m);
}

static int collect(void *data, const char *text)
{
    snprintf((char *)data + strlen(data), 100, "%s\n", text);
    return 0;
}

static void losses_are_told(void **state)
{
    const struct world *w = *state;
    char text[1000] = "";

    assert_int_equal(vmscm_hint_losses(w->is, w->as, "X", collect, text), 0);
    assert_non_null(strstr(text, "X does not say that it is a pc"));
    assert_non_null(strstr(text, "disk vda is on sata: X has no virtio"));
    assert_non_null(strstr(text, "its memory is 1073741824 bytes, not 1000"));
    assert_null(strstr(text, "hda"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(all_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_changed_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(other_disks_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(others_texts_are_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(losses_are_told, setup, teardown),
    };

    return unit_run(tests);
}
