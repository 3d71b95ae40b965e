package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;

final class MeterTest {
    private static final Terminal TERMINAL = new Terminal(true, 200, false);
    private static final Terminal PIPE = new Terminal(false, 80, false);
    private static final long SECOND = 1_000_000_000L;

    private final StringWriter err = new StringWriter();
    private final AtomicLong clock = new AtomicLong();

    @Test
    void sayHowFarHowFastAndHowLongStill() {
        assertThat(meter(TERMINAL).line(250_000_000, 1_000_000_000, Duration.ofSeconds(30)))
                .isEqualTo(
                        "converting [######------------------]  25%  250 MB of 1.00 GB  8.33 MB/s "
                                + " 1:30 left");
    }

    @Test
    void nothingDoneYetPromisesNothing() {
        assertThat(meter(TERMINAL).line(0, 1000, Duration.ofSeconds(1))).endsWith("? left");
    }

    @Test
    void emptyWorkIsDone() {
        assertThat(meter(TERMINAL).line(0, 0, Duration.ofSeconds(1))).contains("100%");
    }

    @Test
    void terminalLineIsDrawnOverAndWiped() {
        try (Meter meter = meter(TERMINAL)) {
            clock.set(SECOND);
            meter.at(10, 100);
            clock.set(2 * SECOND);
            meter.at(50, 100);
        }
        String drawn = err.toString();
        assertThat(drawn).startsWith("\rconverting [").endsWith("\r").doesNotContain("\n");
        assertThat(drawn.split("\r", -1)).hasSize(5);
        assertThat(drawn.split("\r", -1)[3]).isBlank();
    }

    @Test
    void workThatFollowsBeginsAnew() {
        try (Meter meter = meter(PIPE)) {
            clock.set(6 * SECOND);
            meter.at(1000, 1000);
            clock.set(12 * SECOND);
            meter.at(10, 100);
        }
        assertThat(err.toString().lines().toList().getLast())
                .contains(" 10%  10 B of 100 B")
                .endsWith(" 0:00 left");
    }

    @Test
    void terminalLineFitsItsTerminal() {
        try (Meter meter = meter(new Terminal(true, 40, false))) {
            clock.set(SECOND);
            meter.at(10, 100);
        }
        assertThat(err.toString().split("\r", -1)[1]).hasSize(39);
    }

    @Test
    void drawsTenTimesASecondHoweverOftenItIsTold() {
        Meter meter = meter(TERMINAL);
        for (int i = 1; i <= 1000; i++) {
            clock.set(i * SECOND / 1000);
            meter.at(i, 1000);
        }
        assertThat(err.toString().chars().filter(c -> c == '\r').count()).isEqualTo(10);
    }

    @Test
    void pipeGetsALineEveryFiveSeconds() {
        try (Meter meter = meter(PIPE)) {
            for (int i = 1; i <= 12; i++) {
                clock.set(i * SECOND);
                meter.at(i, 12);
            }
        }
        assertThat(err.toString().lines()).hasSize(2).allMatch(line -> line.contains("left"));
    }

    @Test
    void reportsOutOfOrderNeverGoBack() {
        try (Meter meter = meter(PIPE)) {
            meter.at(90, 100);
            clock.set(6 * SECOND);
            meter.at(10, 100);
        }
        assertThat(err.toString()).contains(" 90%");
    }

    private Meter meter(Terminal terminal) {
        return new Meter(new PrintWriter(err, true), terminal, "converting", clock::get);
    }
}
