package io.ucp.convert;

import io.ucp.execute.Observer;
import io.ucp.io.ByteSource;
import io.ucp.io.NativeFiles;
import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/// Asks the system, every so many bytes, to write out what was written and to forget what is
/// written or read, so that a conversion does not push a training job's files out of the page
/// cache. What another process reads of the same files may have to be read again.
final class DropBehind implements Observer {
    private static final long EVERY = 256L << 20;

    private final Path output;
    private long since;
    private Set<Path> touched = new HashSet<>();

    /// @param output the folder that targets are written into
    DropBehind(Path output) {
        this.output = output;
    }

    @Override
    public void see(TargetPlan target, long from, ByteBuffer window) {
        Set<Path> files = sources(target.steps(), from, from + window.limit());
        files.add(output.resolve(target.path()));
        Set<Path> dropped = Set.of();
        synchronized (this) {
            touched.addAll(files);
            since += window.limit();
            if (since >= EVERY) {
                dropped = touched;
                touched = new HashSet<>();
                since = 0;
            }
        }
        dropped.forEach(NativeFiles::drop);
    }

    /// What is left at the end.
    synchronized void end() {
        touched.forEach(NativeFiles::drop);
        touched = new HashSet<>();
    }

    private static Set<Path> sources(List<Step> steps, long from, long to) {
        Set<Path> paths = new HashSet<>();
        int low = 0;
        int high = steps.size();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (steps.get(middle).end() > from) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        for (int k = low; k < steps.size() && steps.get(k).offset() < to; k++) {
            switch (steps.get(k)) {
                case Step.Literal _, Step.Fill _ -> {}
                case Step.Bytes bytes -> paths.add(bytes.source().path());
                case Step.Elements elements -> {
                    int width = elements.to().width();
                    long first = Math.max(0, (from - elements.offset()) / width);
                    long last = Math.ceilDiv(to - elements.offset(), width);
                    for (Step.Copy copy : elements.copies()) {
                        copy.origins().over(first, last).stream()
                                .map(Step.Origin::source)
                                .map(ByteSource::path)
                                .forEach(paths::add);
                    }
                }
            }
        }
        return paths;
    }
}
