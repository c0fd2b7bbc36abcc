/** The containers by name, which is also how their files end. */
import type { ContainerName } from '../../schemas/common.ts';
import { arrowContainer } from './arrow-container.ts';
import { parquetContainer } from './parquet-container.ts';
import type { Container } from './shard-file.ts';

export const containers: Readonly<Record<ContainerName, Container>> = {
  arrow: arrowContainer,
  parquet: parquetContainer,
};

/** The container of a shard by its file's name. */
export function containerOf(name: string): Container {
  return name.endsWith('.parquet') ? containers.parquet : containers.arrow;
}
