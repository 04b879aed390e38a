# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries on several labs at once."""

import multiprocessing
import os

import commands
import lab as labs

# Processes: more than cores, as most of the time goes into waiting for one another's next step.
JOBS = int(os.environ.get("JOBS") or 3 * os.cpu_count())


class Worker:
    """Held by each process of the pool."""
    lab = None
    attempt = None
    done = {}


def start(base, attempt, numbers):
    with numbers.get_lock():
        numbers.value += 1
        Worker.lab = labs.Lab(base, numbers.value)
    Worker.attempt = attempt


def work(task):
    command = commands.named([task[0]])[0]
    if command.name not in Worker.done:
        Worker.done[command.name] = commands.Done(Worker.lab, command)
    return Worker.attempt(Worker.lab, command, Worker.done[command.name], *task[1:])


def run_all(base, attempt, tasks):
    """Yields (task, attempt(lab, command, done, *task[1:])) for each task, whose first member is its
    command's name; says how many of each command were tried."""
    numbers = multiprocessing.Value("i", 0)
    # A worker makes a lab of its own first, and each command's base in it.
    jobs = min(JOBS, 2 + len(tasks) // 1000)
    with multiprocessing.Pool(jobs, start, (base, attempt, numbers)) as pool:
        last, tried = None, 0
        for task, found in zip(tasks, pool.imap(work, tasks, 4)):
            if last and task[0] != last:
                print("# %s: %d tried" % (last, tried), flush=True)
                tried = 0
            last, tried = task[0], tried + 1
            yield task, found
        if last:
            print("# %s: %d tried" % (last, tried), flush=True)
        # To terminate workers that wait for tasks can wait for ever.
        pool.close()
        pool.join()
