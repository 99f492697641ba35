import type { NodeSample } from '../model/vitals.ts';
import { detailsOf } from './inspect.ts';
import { numberOf } from './node-info.ts';

/** The fields that a sample needs: a tenth of what INFO says, and all of it would be read every second. */
const FIELDS = [
  ...['run_id', 'redis_version', 'valkey_version', 'uptime_in_seconds', 'connected_clients'],
  ...['used_memory', 'mem_not_counted_for_evict', 'maxmemory', 'maxmemory_policy'],
  ...['loading', 'loading_loaded_perc', 'loading_eta_seconds'],
  ...['rdb_last_bgsave_status', 'aof_last_write_status', 'aof_last_bgrewrite_status'],
  ...['total_commands_processed', 'total_net_input_bytes', 'total_net_output_bytes'],
  ...['role', 'master_host', 'master_port', 'master_link_status', 'master_sync_in_progress'],
  ...['master_link_down_since_seconds', 'slave_repl_offset', 'master_repl_offset', 'master_replid'],
  ...['slave\\d+', 'used_cpu_sys', 'used_cpu_user', 'db\\d+'],
];
const FIELD = new RegExp(`^(${FIELDS.join('|')}):(.*)$`, 'gm');

/** Reads the default sections of INFO, which arrived at this time. */
export function sampleOf(text: string, atMs: number): NodeSample {
  const info = new Map<string, string>();
  for (const [, field = '', value = ''] of text.matchAll(FIELD)) info.set(field, value);
  return {
    atMs,
    details: detailsOf(info),
    uptimeSeconds: numberOf(info, 'uptime_in_seconds'),
    clients: numberOf(info, 'connected_clients'),
    counters: {
      commands: numberOf(info, 'total_commands_processed'),
      bytesIn: numberOf(info, 'total_net_input_bytes'),
      bytesOut: numberOf(info, 'total_net_output_bytes'),
      cpuSeconds: numberOf(info, 'used_cpu_sys') + numberOf(info, 'used_cpu_user'),
    },
  };
}
