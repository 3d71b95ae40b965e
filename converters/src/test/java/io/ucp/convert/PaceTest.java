package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.plan.Spans;
import io.ucp.plan.TargetPlan;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CancellationException;

class PaceTest {
    private long now;

    private static TargetPlan target() {
        return new TargetPlan(
                "t",
                0,
                List.of(),
                Spans.of(List.of(), _ -> 0, _ -> 0),
                Spans.of(List.of(), _ -> 0, _ -> 0),
                Optional.empty(),
                Optional.empty());
    }

    private void see(Pace pace, int bytes) {
        pace.see(target(), 0, ByteBuffer.allocate(bytes));
    }

    @Test
    void windowsGoOnAtTheRateThatWasAsked() {
        Pace pace = new Pace(1000, () -> false, () -> now, nanos -> now += nanos);
        for (int k = 0; k < 50; k++) {
            see(pace, 100);
        }
        // The first one goes at once, and each of the others behind a tenth of a second.
        assertThat(now).isEqualTo(4_900_000_000L);
    }

    @Test
    void whatWasSlowerAnywayIsNotHeldBack() {
        Pace pace = new Pace(1000, () -> false, () -> now, nanos -> now += nanos);
        see(pace, 100);
        now = 5_000_000_000L;
        see(pace, 100);
        assertThat(now).isEqualTo(5_000_000_000L);
    }

    @Test
    void aPauseEndsWhereTheRunIsStopped() {
        Pace pace = new Pace(1, () -> now > 1_000_000_000L, () -> now, nanos -> now += nanos);
        see(pace, 1000);
        assertThatThrownBy(() -> see(pace, 1000)).isInstanceOf(CancellationException.class);
        assertThat(now).isLessThan(2_000_000_000L);
    }

    @Test
    void memoryThatIsMissingMakesWindowsSmallerThenWorkersFewer() throws Exception {
        Prepared prepared =
                Conversion.prepare(
                        new Request(
                                Path.of("..", "samples", "llama-zero3-dp4", "checkpoint"),
                                Optional.empty(),
                                "universal",
                                Optional.empty(),
                                Map.of(),
                                Map.of()));
        MemoryNeed free = fitting(prepared, Long.MAX_VALUE);
        assertThat(free.threads()).isEqualTo(64);
        assertThat(free.windowBytes()).isEqualTo(1 << 20);
        MemoryNeed half = fitting(prepared, free.plan() + free.buffers() * 6 / 10);
        assertThat(half.threads()).isEqualTo(64);
        assertThat(half.windowBytes()).isEqualTo(1 << 19);
        MemoryNeed few = fitting(prepared, free.plan() + free.buffers() / 64);
        assertThat(few.threads()).isLessThan(64);
        assertThat(few.windowBytes()).isEqualTo(1 << 18);
        assertThat(few.total()).isLessThanOrEqualTo(free.plan() + free.buffers() / 64);
        assertThatThrownBy(() -> fitting(prepared, free.plan()))
                .isInstanceOf(NotEnoughMemoryException.class)
                .hasMessageContaining("expected at most %,d (--max-memory)".formatted(free.plan()));
    }

    private static MemoryNeed fitting(Prepared prepared, long most) throws Exception {
        return MemoryNeed.within(prepared, 64, OptionalLong.of(most), OptionalLong.empty());
    }
}
