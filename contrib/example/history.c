/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints the history of a machine: history REPOSITORY MACHINE. Only <vmscm/...> is needed.
 * Build: cc history.c $(pkg-config --cflags --libs vmscm) -o history */
#include <stdio.h>
#include <vmscm/repo.h>
#include <vmscm/revision.h>

static int print(void *data, struct vmscm_revision *rev)
{
    struct vmscm_signature author = vmscm_revision_author(rev);

    (void)data;
    printf("%.7s %s: %s\n", vmscm_revision_id(rev), author.name, vmscm_revision_message(rev));
    return 0;
}

int main(int argc, char **argv)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_repo *repo = NULL;
    struct vmscm_revision *rev = NULL;

    if (argc != 3)
        return 2;
    int rc = vmscm_repo_open(&repo, argv[1], &err);
    if (!rc)
        rc = vmscm_revision_resolve(&rev, repo, argv[2], &err);
    if (!rc)
        rc = vmscm_revision_log(rev, 0, print, NULL, &err);
    if (rc)
        fprintf(stderr, "history: %s\n", err.message);
    vmscm_revision_free(rev);
    vmscm_repo_close(repo);
    return vmscm_error_exit_status(rc);
}
