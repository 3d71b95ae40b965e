package io.ucp.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;

final class ParallelTest {
    private static final List<Integer> NUMBERS = IntStream.range(0, 1000).boxed().toList();

    @Test
    void everyValueIsTakenOnceAndTheOrderIsTheirs() {
        ConcurrentLinkedQueue<Integer> taken = new ConcurrentLinkedQueue<>();
        List<String> mapped =
                Parallel.map(
                        NUMBERS,
                        n -> {
                            taken.add(n);
                            return "n" + n;
                        });
        assertThat(mapped).isEqualTo(NUMBERS.stream().map(n -> "n" + n).toList());
        assertThat(taken).containsExactlyInAnyOrderElementsOf(NUMBERS);
    }

    @Test
    void nothingComesToNothing() {
        assertThat(Parallel.map(List.of(), Object::toString)).isEmpty();
    }

    /// The second fails while the first is still worked on, and both fail.
    @Test
    void theFirstInTheirOrderIsTheErrorThoughAnotherFailedBefore() {
        CountDownLatch secondFails = new CountDownLatch(1);
        boolean several = Runtime.getRuntime().availableProcessors() > 1;
        assertThatThrownBy(
                        () ->
                                Parallel.map(
                                        List.of("first", "second"),
                                        name -> {
                                            if (name.equals("second")) {
                                                secondFails.countDown();
                                            } else if (several) {
                                                secondFails.await();
                                            }
                                            throw new IOException(name);
                                        }))
                .isInstanceOf(IOException.class)
                .hasMessage("first");
    }

    @Test
    void uncheckedExceptionsAreGivenAsTheyAre() {
        assertThatThrownBy(
                        () ->
                                Parallel.map(
                                        NUMBERS,
                                        n -> {
                                            throw new IllegalStateException("number " + n);
                                        }))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("number 0");
    }

    @Test
    void nothingFurtherIsTakenUpOnceOneFailed() {
        ConcurrentLinkedQueue<Integer> taken = new ConcurrentLinkedQueue<>();
        assertThatThrownBy(
                        () ->
                                Parallel.map(
                                        NUMBERS,
                                        n -> {
                                            taken.add(n);
                                            throw new IOException("number " + n);
                                        }))
                .isInstanceOf(IOException.class);
        assertThat(taken).hasSizeLessThanOrEqualTo(Runtime.getRuntime().availableProcessors());
    }
}
