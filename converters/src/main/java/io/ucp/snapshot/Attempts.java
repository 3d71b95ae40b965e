package io.ucp.snapshot;

import io.ucp.formats.RefusedException;
import io.ucp.layout.ImpossibleLayoutException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/// Things that are tried one after the other, whatever becomes of those before. What failed is
/// tried again a second later, then after twice as long each time, a minute at most.
final class Attempts {
    private static final Duration FIRST = Duration.ofSeconds(1);
    private static final Duration LONGEST = Duration.ofMinutes(1);

    private final InstantSource clock;
    private final Map<String, Failed> failed = new HashMap<>();
    private final Set<String> asked = new HashSet<>();
    private @Nullable Exception first;

    Attempts(InstantSource clock) {
        this.clock = clock;
    }

    /// What may fail.
    @FunctionalInterface
    interface Attempt {
        void make() throws IOException;
    }

    /// @param pause until it is tried again
    private record Failed(Instant at, Duration pause) {
        /// A clock that was set back puts nothing off.
        boolean isDue(Instant now) {
            return now.isBefore(at) || !now.isBefore(at.plus(pause));
        }
    }

    /// @param what the same each time that the same is tried
    /// @return whether it went well; not where it is not yet due again
    boolean made(String what, Attempt attempt) {
        asked.add(what);
        Failed before = failed.get(what);
        if (before != null && !before.isDue(clock.instant())) {
            return false;
        }
        try {
            attempt.make();
            failed.remove(what);
            return true;
        } catch (IOException
                | UncheckedIOException
                | RefusedException
                | ImpossibleLayoutException e) {
            Duration pause = before == null ? FIRST : before.pause().multipliedBy(2);
            pause = pause.compareTo(LONGEST) > 0 ? LONGEST : pause;
            failed.put(what, new Failed(clock.instant(), pause));
            if (first == null) {
                first = e;
            } else {
                first.addSuppressed(e);
            }
            return false;
        }
    }

    /// Whether something failed that is not to be tried again yet.
    boolean isWaiting() {
        return !failed.isEmpty();
    }

    /// Begins anew: what was not asked for since is forgotten.
    void forgetUnasked() {
        failed.keySet().retainAll(asked);
        asked.clear();
    }

    /// Throws what failed since the last time.
    ///
    /// @throws IOException what failed first, or one of the others that it may be
    void tell() throws IOException {
        Exception thrown = first;
        first = null;
        switch (thrown) {
            case null -> {}
            case IOException e -> throw e;
            case RuntimeException e -> throw e;
            default -> throw new IllegalStateException(thrown);
        }
    }
}
