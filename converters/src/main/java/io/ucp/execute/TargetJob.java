package io.ucp.execute;

import io.ucp.io.ChecksumField;
import io.ucp.plan.DigestRegion;
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
    private final TargetPlan plan;
    private final Execution execution;
    private final Windows windows;
    private final AtomicLong claimed = new AtomicLong();
    private final AtomicLong left;
    private final IdentityHashMap<ChecksumField, Integer> checksums = new IdentityHashMap<>();
    private @Nullable Output output;

    TargetJob(TargetPlan plan, Execution execution) {
        this.plan = plan;
        this.execution = execution;
        this.windows =
                new Windows(
                        plan,
                        execution.options().bufferBytes(),
                        execution.folder().isPresent() && plan.assembler().isPresent());
        this.left = new AtomicLong(windows.count());
    }

    /// Fills windows until none is left to claim.
    void work(Worker worker) throws IOException {
        long count = windows.count();
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
        ByteBuffer bytes = worker.buffers().window();
        worker.filler().fill(plan.steps(), from, to, bytes);
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
            execution.tallies().add(region, from, bytes);
        }
        List<ChecksumField> fields = plan.checksums().over(from, to);
        int[] parts = new int[fields.size()];
        for (int k = 0; k < parts.length; k++) {
            parts[k] = Tallies.checksum(fields.get(k), from, bytes);
        }
        synchronized (this) {
            for (int k = 0; k < parts.length; k++) {
                checksums.merge(fields.get(k), parts[k], (a, b) -> a ^ b);
            }
        }
        if (execution.folder().isPresent()) {
            output().take(window, from, bytes);
        }
        execution.done(to - from);
    }

    /// Opened by the first window.
    private synchronized Output output() throws IOException {
        Output opened = output == null ? execution.open(plan) : output;
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
            jobs.add(new TargetJob(plan, execution));
        }
        return jobs;
    }
}
