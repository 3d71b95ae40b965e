package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;

import io.ucp.bind.TargetRequest;
import io.ucp.execute.ExecutionResult;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What a fixed job costs, in counts: a change that reads a byte twice, opens a file again or plans
/// more steps shows here and not as noise in a benchmark. Where one of them falls, write the new
/// number; where one rises, say in the commit why.
class CostTest {
    private static final Path SAMPLE = Path.of("../samples/llama-tp2-pp2-dp2/checkpoint");
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    @TempDir private Path folder;

    @ParameterizedTest
    @CsvSource({
        "universal, 4668480, 5057520, 26, 30, 466",
        "deepspeed-universal, 3712628, 3879078, 12, 113, 329",
        "deepspeed, 5344192, 4442792, 22, 11, 198",
    })
    void aConversionReadsWritesOpensAndPlansAsMuchAsEver(
            String to, long read, long written, long opened, long files, int steps)
            throws IOException {
        Prepared prepared = prepared(to);

        ExecutionResult result = run(prepared);

        assertThat(
                        List.of(
                                result.counts().bytesRead(),
                                result.counts().bytesWritten(),
                                result.counts().sourcesOpened(),
                                result.counts().filesWritten(),
                                (long) prepared.steps().values().stream().mapToInt(n -> n).sum()))
                .containsExactly(read, written, opened, files, (long) steps);
    }

    @ParameterizedTest
    @CsvSource({"universal", "deepspeed-universal", "deepspeed"})
    void theHeapThatCopyingTakesDoesNotFollowTheBytes(String to) throws IOException {
        Prepared prepared = prepared(to);
        run(prepared);
        long before = THREADS.getTotalThreadAllocatedBytes();

        ExecutionResult result =
                PlanExecutor.execute(
                        prepared.plan(),
                        folder.resolve("again"),
                        Options.standard().withThreads(1),
                        Progress.NONE);

        long allocated = THREADS.getTotalThreadAllocatedBytes() - before;
        assertThat(allocated).isLessThan(result.counts().bytesWritten());
    }

    private ExecutionResult run(Prepared prepared) throws IOException {
        return PlanExecutor.execute(
                prepared.plan(),
                folder.resolve("out"),
                Options.standard().withThreads(1),
                Progress.NONE);
    }

    private static Prepared prepared(String to) throws IOException {
        return Conversion.prepare(
                new Request(
                        SAMPLE,
                        Optional.empty(),
                        to,
                        Optional.empty(),
                        Map.of(),
                        Map.of(),
                        to.equals("deepspeed") ? Optional.of(job()) : Optional.empty()));
    }

    /// TP1 PP1 DP3.
    private static TargetRequest job() {
        return TargetRequest.SAME.withTp(1).withPp(1).withDp(3);
    }
}
