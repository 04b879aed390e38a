/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table.h"

#include "memory.h"
#include "text.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct table {
    const char *const *headings;
    size_t columns;
    char **cells; /* row by row, cleaned */
    size_t len, cap;
};

struct table *table_new(const char *const *headings)
{
    struct table *table = memory_zero(sizeof *table);

    table->headings = headings;
    while (headings[table->columns])
        table->columns++;
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->len; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void table_cell(struct table *table, const char *fmt, ...)
{
    char *raw = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&raw, fmt, ap) < 0)
        memory_die();
    va_end(ap);
    if (table->len == table->cap) {
        table->cap = table->cap ? 2 * table->cap : 32;
        table->cells = memory_grow(table->cells, table->cap, sizeof *table->cells);
    }
    table->cells[table->len++] = text_clean(raw);
    free(raw);
}

static void pad(size_t n)
{
    while (n-- > 0)
        putchar(' ');
}

static void put_cell(const struct table *table, size_t column, const char *text, size_t width,
    bool last)
{
    size_t gap = width - text_width(text);

    if (table->headings[column][0] == '>') {
        pad(gap);
        gap = 0;
    }
    fputs(text, stdout);
    if (!last)
        pad(gap + 2);
}

static void put_row(const struct table *table, char *const *cells, const size_t *width,
    const char *indent)
{
    size_t count = table->columns;

    /* No spaces at the end of a line. */
    while (count > 1 && !*cells[count - 1])
        count--;
    fputs(indent, stdout);
    for (size_t c = 0; c < count; c++)
        put_cell(table, c, cells[c], width[c], c + 1 == count);
    putchar('\n');
}

void table_print(const struct table *table, const char *indent)
{
    size_t *width = memory_zero(table->columns * sizeof *width);
    bool headed = false;

    for (size_t c = 0; c < table->columns; c++) {
        const char *heading = table->headings[c] + (table->headings[c][0] == '>');
        width[c] = text_width(heading);
        headed = headed || *heading;
    }
    for (size_t i = 0; i < table->len; i++) {
        size_t w = text_width(table->cells[i]);
        if (w > width[i % table->columns])
            width[i % table->columns] = w;
    }
    if (headed && table->len > 0) {
        fputs(indent, stdout);
        for (size_t c = 0; c < table->columns; c++)
            put_cell(table, c, table->headings[c] + (table->headings[c][0] == '>'), width[c],
                c + 1 == table->columns);
        putchar('\n');
    }
    for (size_t i = 0; i + table->columns <= table->len; i += table->columns)
        put_row(table, table->cells + i, width, indent);
    free(width);
}
