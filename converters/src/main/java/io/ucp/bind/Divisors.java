package io.ucp.bind;

import java.util.stream.Collectors;
import java.util.stream.LongStream;

/// The degrees that a message offers.
final class Divisors {
    private Divisors() {}

    /// The numbers that divide all of these: `1, 2 or 4`.
    static String of(long... numbers) {
        long least = LongStream.of(numbers).min().orElse(1);
        var divisors =
                LongStream.rangeClosed(1, Math.min(least, 1 << 16))
                        .filter(d -> LongStream.of(numbers).allMatch(n -> n % d == 0))
                        .boxed()
                        .toList();
        String most =
                divisors.subList(0, Math.max(1, divisors.size() - 1)).stream()
                        .map(String::valueOf)
                        .collect(Collectors.joining(", "));
        return divisors.size() < 2 ? most : most + " or " + divisors.getLast();
    }
}
