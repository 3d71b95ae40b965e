package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;

/// Pipelines of hundreds of layers, each of which is a file.
class DeepPipelineTest {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    @TempDir Path temporary;

    /// Four times the layers are four times the work: the names that a stage lists are not looked
    /// through anew for each file. Counted in bytes of the heap, since time is noise.
    @Test
    void theWorkOfOpeningGrowsWithTheLayersAndNotWithTheirSquare() throws IOException {
        Candidate few = written(50);
        Candidate many = written(200);
        opened(few); // what is loaded once

        long forFew = opened(few);
        long forMany = opened(many);

        assertThat(forMany).isLessThan(5 * forFew);
    }

    private Candidate written(int layers) throws IOException {
        Path folder = temporary.resolve("of" + layers);
        GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(layers, 1, 2))
                .configured()
                .degrees(2, 1, 1)
                .writeTo(folder);
        return new DeepSpeedFormat().find(folder).getFirst();
    }

    private static long opened(Candidate candidate) throws IOException {
        long before = THREADS.getTotalThreadAllocatedBytes();
        CheckpointIndex index = new DeepSpeedFormat().index(candidate);
        long allocated = THREADS.getTotalThreadAllocatedBytes() - before;
        assertThat(index.tensors()).isNotEmpty();
        return allocated;
    }
}
