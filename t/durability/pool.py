# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries on several labs at once."""

import multiprocessing

import commands
import lab as labs

JOBS = 2  # processes


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
    command's name."""
    numbers = multiprocessing.Value("i", 0)
    with multiprocessing.Pool(JOBS, start, (base, attempt, numbers)) as pool:
        yield from zip(tasks, pool.imap(work, tasks, 4))
        # To terminate workers that wait for tasks can wait for ever.
        pool.close()
        pool.join()
