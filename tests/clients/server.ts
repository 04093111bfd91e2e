// A running `lille serve`, and what the client tests have in common.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

// Longer than anything takes on the busiest machine.
const kLong_ms = 120_000;

export class Server {
  private constructor(
    private readonly process: ChildProcess,
    readonly url: string,
  ) {}

  static async start(program: string, ...options: string[]): Promise<Server> {
    const child = spawn(program, ['serve', '--port', '0', ...options], { stdio: ['ignore', 'pipe', 'ignore'] });
    process.on('exit', () => child.kill());
    let said = '';
    for await (const piece of child.stdout) {
      said += String(piece);
      if (said.includes('\n')) break;
    }
    if (!said.startsWith('http:')) throw new Error('the server did not start');
    return new Server(child, said.trim());
  }

  async stop(): Promise<void> {
    this.process.kill('SIGTERM');
    const [status] = await once(this.process, 'exit');
    if (status !== 0) throw new Error(`the server ended with ${status}`);
  }

  // The numbers of /metrics by name.
  async metrics(): Promise<Map<string, number>> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]));
  }

  // Waits until /metrics says so.
  async until(what: (metrics: Map<string, number>) => boolean): Promise<Map<string, number>> {
    const start_ms = performance.now();
    for (;;) {
      const metrics = await this.metrics();
      if (what(metrics)) return metrics;
      if (performance.now() - start_ms > kLong_ms) throw new Error(`never: ${what}: ${JSON.stringify([...metrics])}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  // Waits until no place is taken and nobody waits.
  idle(): Promise<Map<string, number>> {
    return this.until((metrics) => metrics.get('lille_answers_running') === 0 && metrics.get('lille_queue_length') === 0);
  }
}

export async function step(name: string, work: () => Promise<void>): Promise<void> {
  const start_ms = performance.now();
  await work();
  console.log(`${name}: ${((performance.now() - start_ms) / 1000).toFixed(2)} s`);
}

// An endless answer: so many, so long and one at a time, that it is under way until it is left.
export const kEndless = { n: 128, max_tokens: 500, logit_bias: { '32764': -100 } };
export const kOneAtATime = ['--completion-batch-size', '1', '--max-queue', '1'];
