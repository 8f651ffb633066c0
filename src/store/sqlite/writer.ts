import type Database from 'better-sqlite3';
import { messageOf, ReelfuseError } from '../../errors.js';
import { codeOf } from '../../storage-faults.js';
import { prepareAttributeWrites } from './attribute-writes.js';
import { prepareEventWrites } from './event-writes.js';
import { prepareItemWrites } from './item-writes.js';
import { prepareSettingWrites } from './setting-writes.js';
import type { WriteOperation, WriteOutcome, WriteValue } from './write-operations.js';

const NEWEST_SEQUENCE = `SELECT max(sequence) FROM (SELECT max(sequence) AS sequence FROM items UNION ALL SELECT max(sequence) FROM tombstones
  UNION ALL SELECT max(sequence) FROM events UNION ALL SELECT max(sequence) FROM erasures)`;

/** @returns a function that applies a group of operations in one transaction. An operation that fails does not affect the others. */
export function createWriter(database: Database.Database): (operations: readonly WriteOperation[]) => WriteOutcome[] {
  let newest = database.prepare<[], number | null>(NEWEST_SEQUENCE).pluck().get() ?? 0;
  const sequence = {
    get newest() {
      return newest;
    },
    next: () => ++newest,
  };
  const attributes = prepareAttributeWrites(database);
  const items = prepareItemWrites(database, sequence, attributes);
  const events = prepareEventWrites(database, sequence);
  const settings = prepareSettingWrites(database);

  const apply = (operation: WriteOperation): WriteValue => {
    switch (operation.type) {
      case 'putItem':
        return items.put(operation.write);
      case 'updateItem':
        return items.updateFields(operation.item);
      case 'deleteItem':
        return items.delete(operation.itemId);
      case 'appendEvents':
        return events.append(operation.events);
      case 'eraseUser':
        return events.eraseUser(operation.userId, operation.limit);
      case 'expireEvents':
        return events.expire(operation.old, operation.limit);
      case 'saveVectors':
        items.saveVectors(operation.fingerprint, operation.vectors);
        return null;
      case 'dropVectors':
        return items.dropVectors(operation.keep, operation.limit);
      case 'discardVectors':
        items.discardVectors(operation.itemIds);
        return null;
      case 'declareAttribute':
        return attributes.declare(operation.name, operation.attributeType, operation.checkedUpTo);
      case 'removeAttribute':
        return attributes.remove(operation.name, operation.checkedUpTo);
      case 'registerModel':
        settings.registerModel(operation.model);
        return null;
      case 'keepAnswer':
        settings.keepAnswer(operation.answer, operation.dropBefore);
        return null;
      case 'setValue':
        settings.setValue(operation.key, operation.value, operation.isFirst);
        return null;
    }
  };

  const savepoint = database.transaction(apply); // nested in the group's transaction, so it becomes a savepoint
  const group = database.transaction((operations: readonly WriteOperation[]): WriteOutcome[] =>
    operations.map((operation) => {
      const before = newest;
      try {
        return { value: savepoint(operation) };
      } catch (error) {
        // a full disk rolls the whole group back; the next savepoint would begin another transaction
        if (!database.inTransaction) throw error;
        newest = before;
        attributes.rolledBack();
        return outcomeOf(error);
      }
    }),
  );
  return (operations) => {
    const before = newest;
    try {
      const outcomes = group.immediate(operations);
      attributes.committed();
      return outcomes;
    } catch (error) {
      newest = before; // the commit failed: no operation of the group was applied
      attributes.rolledBack();
      throw error;
    }
  };
}

function outcomeOf(error: unknown): WriteOutcome {
  if (error instanceof ReelfuseError) return { refusal: { status: error.status, code: error.code, detail: error.message, errors: error.errors } };
  return { error: messageOf(error), code: codeOf(error) };
}
