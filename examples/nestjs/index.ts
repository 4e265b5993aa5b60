/** NestJS: a module whose provider starts the runtime with the app and stops it with it. */
import 'reflect-metadata';
import {
  type ArgumentsHost,
  Body,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  HttpCode,
  Inject,
  Injectable,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
  Param,
  Post,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Response } from 'express';
import { createShop, explain, type Order, type Shop } from '../orders.ts';

@Injectable()
class ShopService implements OnModuleInit, OnApplicationShutdown {
  readonly shop: Shop = createShop(`sqlite:${process.env['DATABASE'] ?? 'shop.db'}`);

  async onModuleInit(): Promise<void> {
    await this.shop.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.shop.runtime.stop();
  }
}

@Controller('orders')
class OrdersController {
  readonly #shop: Shop;

  constructor(@Inject(ShopService) service: ShopService) {
    this.#shop = service.shop;
  }

  @Post()
  place(@Body() order: unknown): Promise<Order> {
    return this.#shop.place(order);
  }

  @Post(':id/pay')
  @HttpCode(200)
  pay(@Param('id') id: string): Promise<Order> {
    return this.#shop.pay(id);
  }

  @Get(':id')
  find(@Param('id') id: string): Promise<Order> {
    return this.#shop.find(id);
  }
}

@Catch()
class ErrorFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const explained = explain(error);
    host.switchToHttp().getResponse<Response>().status(explained.status).json(explained);
  }
}

@Module({ controllers: [OrdersController], providers: [ShopService], exports: [ShopService] })
class ShopModule {}

const app = await NestFactory.create(ShopModule, { logger: ['error'] });
app.useGlobalFilters(new ErrorFilter());
app.enableShutdownHooks(); // SIGTERM calls onApplicationShutdown
await app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1');
console.log(`ready at ${await app.getUrl()}`);
