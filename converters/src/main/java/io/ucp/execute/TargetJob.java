package io.ucp.execute;

import io.ucp.io.ChecksumField;
import io.ucp.io.PlainFile;
import io.ucp.plan.DigestRegion;
import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/// One target being made: workers claim its windows, and whoever ends the last one finishes it.
final class TargetJob implements AutoCloseable {
    private final int number;
    private final TargetPlan plan;
    private final Execution execution;
    private final Windows windows;
    private final AtomicLong claimed = new AtomicLong();
    private final AtomicLong left;
    private final IdentityHashMap<ChecksumField, Integer> checksums = new IdentityHashMap<>();
    private @Nullable Output output;
    private boolean mayClone;

    /// @param number of the target in the plan
    TargetJob(int number, TargetPlan plan, Execution execution) {
        this.number = number;
        this.plan = plan;
        this.execution = execution;
        this.windows =
                new Windows(
                        plan,
                        execution.options().bufferBytes(),
                        execution.folder().isPresent() && plan.assembler().isPresent());
        this.left = new AtomicLong(windows.count());
        this.mayClone = execution.options().clones() && execution.folder().isPresent();
    }

    /// Fills windows until none is left to claim.
    void work(Worker worker) throws IOException {
        long count = windows.count();
        cloneWhole(count);
        while (claimed.get() < count) {
            long window = claimed.getAndIncrement();
            if (window >= count) {
                return;
            }
            execution.checkGoing();
            fill(worker, window);
            if (left.decrementAndGet() == 0) {
                finish();
            }
        }
    }

    private void fill(Worker worker, long window) throws IOException {
        long from = windows.start(window);
        long to = windows.end(window);
        ByteBuffer bytes = worker.buffers().window().clear().limit((int) (to - from));
        WindowSums sums = worker.sums();
        sums.of(bytes);
        boolean writes = execution.folder().isPresent();
        boolean kept = writes && output().restore(window, from, bytes);
        if (!kept) {
            worker.filler().fill(plan.steps(), from, to, bytes);
        }
        execution.options().observer().see(plan, from, bytes);
        if (plan.against().isPresent()) {
            worker.filler()
                    .compare(
                            plan,
                            plan.against().get(),
                            from,
                            to,
                            bytes,
                            worker.buffers().against());
        }
        for (DigestRegion region : plan.digests().over(from, to)) {
            execution.tallies().add(region, from, to, sums);
        }
        List<ChecksumField> fields = plan.checksums().over(from, to);
        int[] parts = new int[fields.size()];
        for (int k = 0; k < parts.length; k++) {
            parts[k] = Tallies.checksum(fields.get(k), from, to, sums);
        }
        synchronized (this) {
            for (int k = 0; k < parts.length; k++) {
                checksums.merge(fields.get(k), parts[k], (a, b) -> a ^ b);
            }
        }
        if (writes && !kept) {
            // Where copies differed another run has to see that too.
            output().take(window, from, bytes, sums, !worker.filler().differed());
        }
        execution.done(to - from);
    }

    /// Claims all windows at once where the target is a whole file of the source and becomes a
    /// clone of it.
    private synchronized void cloneWhole(long count) throws IOException {
        if (!mayClone) {
            return;
        }
        mayClone = false;
        if (plan.steps().size() == 1
                && plan.steps().getFirst() instanceof Step.Bytes(long _, var source, long at, _)
                && at == 0
                && source.size() == plan.size()
                && source instanceof PlainFile
                && output().becomes(source.path(), plan.size())) {
            claimed.set(count);
            execution.cloned(plan.size());
            finish();
        }
    }

    /// Opened by the first window.
    private synchronized Output output() throws IOException {
        Output opened = output == null ? execution.open(number, plan) : output;
        output = opened;
        return opened;
    }

    private synchronized void finish() throws IOException {
        if (output == null) {
            return;
        }
        output.finish();
        for (ChecksumField field : plan.checksums().items()) {
            for (long at : field.at()) {
                output.patch(at, checksums.getOrDefault(field, 0));
            }
        }
        if (execution.options().sync()) {
            output.sync();
        }
        execution.written();
        close();
    }

    @Override
    public synchronized void close() throws IOException {
        if (output != null) {
            output.close();
            output = null;
        }
    }

    static List<TargetJob> all(List<TargetPlan> plans, Execution execution) {
        List<TargetJob> jobs = new ArrayList<>(plans.size());
        for (TargetPlan plan : plans) {
            jobs.add(new TargetJob(jobs.size(), plan, execution));
        }
        return jobs;
    }
}
